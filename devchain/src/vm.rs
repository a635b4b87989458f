//! A real Move VM behind a safe door.
//!
//! [`Vm`] loads `libmovevm` out of the npm package `@initia/builder.js` (a fork of aptos-core's VM, under the Business
//! Source License 1.1: a tool of tests and demos, never shipped), publishes modules, calls entry functions and views, and
//! reads events and resources. It keeps the state in memory as [`State`]; who wants it on disk stores what
//! [`State::accept`] returns.
//!
//! ```no_run
//! use devchain::{package::Toolkit, types::Address, vm::{Call, Libraries, Vm}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let libraries = Libraries::find()?;
//! let tools = Toolkit::new(libraries.clone(), "target/debug/iog-devchain");
//! let iog: Address = "0xcafe".parse()?;
//! let built = tools.build("contracts".as_ref(), "contracts/standin".as_ref(), &[("iog", iog)])?;
//! let mut vm = Vm::start(&libraries, built.framework)?;
//! vm.publish(iog, built.modules)?;
//! let call = Call::parse("0xcafe::token::claim_vested")?.argument(&3u64)?;
//! let done = vm.execute(&[iog], &call)?;
//! println!("{} gas, {:?}", done.gas_used, done.events);
//! println!("{:?}", vm.view(&Call::parse("0xcafe::token::supply")?)?);
//! # Ok(()) }
//! ```

mod bytecode;
mod ffi;
mod shape;
mod state;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use bytecode::{Header, header, in_order};
pub(crate) use ffi::compiler;
pub(crate) use shape::resolve;
pub use state::{Change, State};

use crate::types::{Address, ModuleId, ParseError, StructTag, TypeTag};

/// Gas that a call may use when nobody says otherwise: half of what the chain lets a transaction ask for.
pub const PLENTY_OF_GAS: u64 = 100_000_000;

/// What can go wrong with the VM or the compiler.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    #[error(
        "no Move libraries in {0}: run scripts/setup.sh, which installs them, and set IOG_MOVE_LIBS to their directory"
    )]
    NoLibraries(String),
    #[error("the Move library cannot be used: {0}")]
    Library(String),
    #[error("{0}")]
    Refused(String),
    #[error("{}: {error}", path.display())]
    File {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("BCS: {0}")]
    Bcs(#[from] bcs::Error),
    #[error("JSON of the VM: {0}")]
    Json(#[from] serde_json::Error),
}

/// Where the two libraries are.
#[derive(Debug, Clone)]
pub struct Libraries {
    directory: PathBuf,
}

impl Libraries {
    /// In the directory that the environment variable `IOG_MOVE_LIBS` names.
    ///
    /// # Errors
    /// The variable is not set, or the libraries for this machine are not there.
    pub fn find() -> Result<Self, VmError> {
        match std::env::var_os("IOG_MOVE_LIBS") {
            Some(directory) => Self::at(directory),
            None => Err(VmError::NoLibraries(
                "IOG_MOVE_LIBS, which is not set".into(),
            )),
        }
    }

    /// # Errors
    /// The libraries for this machine are not there.
    pub fn at(directory: impl Into<PathBuf>) -> Result<Self, VmError> {
        let libraries = Self {
            directory: directory.into(),
        };
        if libraries.machine().is_file() && libraries.compiler().is_file() {
            Ok(libraries)
        } else {
            Err(VmError::NoLibraries(
                libraries.directory.display().to_string(),
            ))
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn machine(&self) -> PathBuf {
        self.directory.join(file("movevm"))
    }

    pub(crate) fn compiler(&self) -> PathBuf {
        self.directory.join(file("compiler"))
    }
}

fn file(name: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("lib{name}.dylib")
    } else {
        format!("lib{name}.{}.so", std::env::consts::ARCH)
    }
}

/// A function with its arguments, each in BCS and without the signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub module: ModuleId,
    pub function: String,
    pub type_arguments: Vec<TypeTag>,
    pub arguments: Vec<Vec<u8>>,
}

impl Call {
    /// `address::module::function`, to which arguments are added.
    ///
    /// # Errors
    /// The text is no such path.
    pub fn parse(path: &str) -> Result<Self, ParseError> {
        // A function's path is read as a struct's: the rules for their names are the same.
        let StructTag {
            address,
            module,
            name,
            parameters,
        } = StructTag::from_str(path)?;
        Ok(Self {
            module: ModuleId::new(address, &module),
            function: name,
            type_arguments: parameters,
            arguments: Vec::new(),
        })
    }

    /// Adds an argument.
    ///
    /// # Errors
    /// BCS has no form for it.
    pub fn argument(mut self, value: &impl Serialize) -> Result<Self, bcs::Error> {
        self.arguments.push(bcs::to_bytes(value)?);
        Ok(self)
    }

    fn bytes(&self) -> Result<Vec<u8>, bcs::Error> {
        let arguments_are_json = false;
        bcs::to_bytes(&(
            &self.module,
            &self.function,
            &self.type_arguments,
            &self.arguments,
            arguments_are_json,
        ))
    }
}

/// A module event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The struct's type, like `0xcafe::token::Minted`.
    #[serde(rename = "type")]
    pub tag: String,
    /// As Aptos's REST shows it: u64 and above as strings, bytes as hexadecimal.
    pub data: Value,
}

/// A call that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub events: Vec<Event>,
    pub gas_used: u64,
}

/// Why a call did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A module said no, with its code.
    Aborted { location: String, code: u64 },
    /// More gas was needed than the limit.
    OutOfGas,
    /// Arithmetic errors, missing modules or functions, wrong arguments, in the VM's words.
    Other(String),
}

/// A call that had no effect but to use gas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status:?}")]
pub struct Failure {
    pub status: Status,
    pub gas_used: u64,
}

impl Failure {
    /// The code of an abort.
    pub fn code(&self) -> Option<u64> {
        match self.status {
            Status::Aborted { code, .. } => Some(code),
            _ => None,
        }
    }

    fn read(words: &str, gas_used: u64) -> Self {
        let aborted = words
            .strip_prefix("VM aborted: location=")
            .and_then(|rest| rest.rsplit_once(", code="))
            .and_then(|(location, code)| Some((location, code.trim().parse().ok()?)));
        let status = match aborted {
            Some((location, code)) => Status::Aborted {
                location: location.to_owned(),
                code,
            },
            None if words.contains("OUT_OF_GAS") => Status::OutOfGas,
            None => Status::Other(words.to_owned()),
        };
        Self { status, gas_used }
    }
}

/// The block and transaction in which calls run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub height: u64,
    pub micros: u64,
    /// Seeds the addresses of objects and tables: each transaction needs its own.
    pub hash: [u8; 32],
}

/// A Move VM with its state.
pub struct Vm {
    machine: ffi::Machine,
    pub state: State,
    moment: Moment,
    interfaces: shape::Interfaces,
}

/// Of the VM's caches, in entries.
const MODULE_CACHE: u64 = 500;
const SCRIPT_CACHE: u64 = 10;

impl Vm {
    /// Loads the library over a state, empty or from before.
    ///
    /// # Errors
    /// The library cannot be loaded.
    pub fn load(libraries: &Libraries, state: State) -> Result<Self, VmError> {
        let allow_unstable = true;
        let config = bcs::to_bytes(&(allow_unstable, MODULE_CACHE, SCRIPT_CACHE))?;
        Ok(Self {
            machine: ffi::Machine::load(&libraries.machine(), &config)?,
            state,
            interfaces: shape::Interfaces::default(),
            moment: Moment {
                height: 0,
                micros: 0,
                hash: [0; 32],
            },
        })
    }

    /// A new chain whose framework is `modules` (all at 0x1), at second 0, with chain id 4.
    ///
    /// # Errors
    /// The library cannot be loaded or refuses the modules.
    pub fn start(libraries: &Libraries, modules: Vec<Vec<u8>>) -> Result<Self, VmError> {
        let mut vm = Self::load(libraries, State::default())?;
        vm.set_chain_id(crate::CHAIN_ID);
        vm.enter(vm.moment);
        vm.genesis(modules)?;
        Ok(vm)
    }

    /// Publishes the framework at 0x1 and runs each module's `init_module`.
    ///
    /// # Errors
    /// The VM refuses the modules.
    pub fn genesis(&mut self, modules: Vec<Vec<u8>>) -> Result<(), VmError> {
        let nobody: Vec<Address> = Vec::new();
        let modules = bcs::to_bytes(&in_order(modules)?)?;
        let environment = self.environment()?;
        self.machine
            .initialize(
                &mut self.state,
                &environment,
                &modules,
                &bcs::to_bytes(&nobody)?,
            )
            .map_err(|words| VmError::Refused(format!("genesis: {words}")))?;
        self.state.accept();
        Ok(())
    }

    /// The block time and transaction of the calls that follow; `0x1::timestamp` tells this time.
    pub fn enter(&mut self, moment: Moment) {
        self.moment = moment;
        self.state.put_resource(
            Address::FRAMEWORK,
            &StructTag::plain(Address::FRAMEWORK, "timestamp", "CurrentTimeMicroseconds"),
            moment.micros.to_le_bytes().to_vec(),
        );
    }

    /// The hash of the transaction that follows within the same block.
    pub fn enter_transaction(&mut self, hash: [u8; 32]) {
        self.moment.hash = hash;
    }

    /// The changes of the last call never were.
    pub fn discard(&mut self) {
        self.state.discard();
        self.interfaces.forget();
    }

    /// What `0x1::chain_id` tells.
    pub fn set_chain_id(&mut self, id: u8) {
        self.state.put_resource(
            Address::FRAMEWORK,
            &StructTag::plain(Address::FRAMEWORK, "chain_id", "ChainId"),
            vec![id],
        );
    }

    /// Lets block time pass.
    pub fn advance(&mut self, seconds: u64) {
        let mut moment = self.moment;
        moment.height += 1;
        moment.micros += seconds * 1_000_000;
        self.enter(moment);
    }

    /// Block time in whole seconds.
    pub fn seconds(&self) -> u64 {
        self.moment.micros / 1_000_000
    }

    /// The next transaction: without its own hash it would make the same objects again.
    fn next(&mut self) {
        for byte in &mut self.moment.hash {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }

    fn environment(&self) -> Result<Vec<u8>, bcs::Error> {
        let Moment {
            height,
            micros,
            hash,
        } = self.moment;
        let next_account_number = 1u64;
        bcs::to_bytes(&(height, micros / 1_000_000, next_account_number, hash, hash))
    }

    /// Calls an entry function with plenty of gas as a transaction of its own; `senders` sign it in order.
    ///
    /// # Errors
    /// The call failed and changed nothing.
    pub fn execute(&mut self, senders: &[Address], call: &Call) -> Result<Done, Failure> {
        self.next();
        let done = self.execute_with(senders, call, PLENTY_OF_GAS)?;
        self.state.accept();
        Ok(done)
    }

    /// Calls an entry function at the entered moment. The changes wait in the state for `accept` or `discard`.
    ///
    /// # Errors
    /// The call failed and changed nothing.
    pub fn execute_with(
        &mut self,
        senders: &[Address],
        call: &Call,
        limit: u64,
    ) -> Result<Done, Failure> {
        let prepared = || -> Result<_, bcs::Error> {
            Ok((self.environment()?, bcs::to_bytes(senders)?, call.bytes()?))
        };
        let (environment, senders, call) = match prepared() {
            Ok(prepared) => prepared,
            Err(error) => return Err(Failure::read(&error.to_string(), 0)),
        };
        let mut left = limit;
        let result =
            self.machine
                .execute(&mut self.state, &mut left, &environment, &senders, &call);
        let gas_used = limit.saturating_sub(left);
        let failed = |words: &str| Failure::read(words, gas_used);
        let bytes = result.map_err(|words| failed(&words))?;
        if self.state.publishes() {
            self.interfaces.forget();
        }
        let Some(mut events) = events(&bytes) else {
            self.state.discard();
            return Err(failed("the VM's answer cannot be read"));
        };
        for event in &mut events {
            self.shape_event(event);
        }
        Ok(Done { events, gas_used })
    }

    /// Calls a function marked `#[view]`.
    ///
    /// # Errors
    /// The call failed.
    pub fn view(&mut self, call: &Call) -> Result<Vec<Value>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            returned: String,
            _events: Vec<(String, String)>,
        }
        let refused = |words: String| Failure::read(&words, 0);
        let environment = self
            .environment()
            .map_err(|error| refused(error.to_string()))?;
        let target = call;
        let call = call.bytes().map_err(|error| refused(error.to_string()))?;
        let mut gas = PLENTY_OF_GAS;
        let bytes = self
            .machine
            .view(&mut self.state, &mut gas, &environment, &call)
            .map_err(refused)?;
        self.state.discard();
        let answer: Answer = bcs::from_bytes(&bytes).map_err(|error| refused(error.to_string()))?;
        let value: Value =
            serde_json::from_str(&answer.returned).map_err(|error| refused(error.to_string()))?;
        Ok(self.shape_returned(target, value))
    }

    /// Publishes modules at an address and runs their `init_module`, as the owner's transaction.
    ///
    /// # Errors
    /// The VM refuses the modules, or an `init_module` aborted.
    pub fn publish(&mut self, owner: Address, modules: Vec<Vec<u8>>) -> Result<Done, VmError> {
        let modules = in_order(modules)?;
        let metadata: Vec<u8> = Vec::new();
        let call = Call::parse("0x1::code::publish_package_txn")?
            .argument(&metadata)?
            .argument(&modules)?;
        self.execute(&[owner], &call)
            .map_err(|failure| VmError::Refused(format!("publishing at {owner}: {failure}")))
    }

    /// A resource of an address as JSON.
    ///
    /// # Errors
    /// Its module cannot be read.
    pub fn resource(&mut self, owner: Address, tag: &StructTag) -> Result<Option<Value>, VmError> {
        let Some(bytes) = self.state.resource(owner, tag) else {
            return Ok(None);
        };
        let json = self
            .machine
            .decode_resource(&mut self.state, &bcs::to_bytes(tag)?, &bytes)
            .map_err(VmError::Refused)?;
        let mut resource: Value = serde_json::from_slice(&json)?;
        Ok(Some(resource["data"].take()))
    }

    /// A value in BCS as JSON.
    ///
    /// # Errors
    /// The bytes are none of that type.
    pub fn decode(&mut self, tag: &TypeTag, value: &[u8]) -> Result<Value, VmError> {
        let json = self
            .machine
            .decode_value(&mut self.state, &bcs::to_bytes(tag)?, value)
            .map_err(VmError::Refused)?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// The interface of a module that is published.
    ///
    /// # Errors
    /// Its bytes cannot be read.
    pub fn abi(&mut self, module: &ModuleId) -> Result<Option<Value>, VmError> {
        let Some(bytes) = self.state.module(module) else {
            return Ok(None);
        };
        let json = self.machine.module_abi(&bytes).map_err(VmError::Refused)?;
        Ok(Some(serde_json::from_slice(&json)?))
    }
}

/// Of the VM's answer only the head is of interest: the events, each a type and its data as JSON.
fn events(mut bytes: &[u8]) -> Option<Vec<Event>> {
    fn length(bytes: &mut &[u8]) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= usize::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
    fn text(bytes: &mut &[u8]) -> Option<String> {
        let count = length(bytes)?;
        let (head, rest) = bytes.split_at_checked(count)?;
        *bytes = rest;
        String::from_utf8(head.to_vec()).ok()
    }
    let count = length(&mut bytes)?;
    let mut events = Vec::new();
    for _ in 0..count {
        let tag = text(&mut bytes)?;
        let data = serde_json::from_str(&text(&mut bytes)?).ok()?;
        events.push(Event { tag, data });
    }
    Some(events)
}
