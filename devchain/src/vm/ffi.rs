//! The C border of the two libraries: their structs, their functions, and the callbacks that give the VM its storage.
//!
//! Everything unsafe of this crate is in this file.
#![expect(
    unsafe_code,
    reason = "a C library can only be called unsafely; each block says what makes it sound"
)]

use std::ffi::c_void;
use std::path::Path;
use std::ptr;

use libloading::{Library, Symbol};

use super::VmError;

/// What the VM reads and writes. Keys are the VM's own (see [`super::keys`]).
pub trait Storage {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    fn set(&mut self, key: Vec<u8>, value: Vec<u8>);
    fn remove(&mut self, key: Vec<u8>);
}

/// Bytes lent to the library for one call.
#[repr(C)]
#[derive(Clone, Copy)]
struct Lent {
    is_nil: bool,
    ptr: *const u8,
    len: usize,
}

impl Lent {
    fn new(bytes: &[u8]) -> Self {
        Self {
            is_nil: false,
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

/// Bytes that the library allocated and that only the library may free.
#[repr(C)]
struct Owned {
    is_none: bool,
    ptr: *mut u8,
    len: usize,
    cap: usize,
}

impl Owned {
    const fn none() -> Self {
        Self {
            is_none: true,
            ptr: ptr::null_mut(),
            len: 0,
            cap: 0,
        }
    }
}

type Callback = *const ();

#[repr(C)]
#[derive(Clone, Copy)]
struct Database {
    state: *mut c_void,
    read: Callback,
    write: Callback,
    remove: Callback,
    scan: Callback,
}

/// The six questions a Cosmos chain would answer. No module of ours asks one.
#[repr(C)]
#[derive(Clone, Copy)]
struct Api {
    state: *const c_void,
    calls: [Callback; 6],
}

type NewVector = unsafe extern "C" fn(bool, *const u8, usize) -> Owned;
type DropVector = unsafe extern "C" fn(Owned);

/// What a callback finds behind `state`: the storage of this call, and how to make vectors the library may free.
struct Session<'a> {
    storage: &'a mut dyn Storage,
    new_vector: NewVector,
}

/// The library's code for "not implemented".
const UNIMPLEMENTED: i32 = 5;

extern "C" fn read(state: *mut c_void, key: Lent, value: *mut Owned, _error: *mut Owned) -> i32 {
    // SAFETY: `state` is the session that `Machine::with_storage` lent for this very call, and the library hands
    // over a valid key and a place for the value.
    unsafe {
        let session = &*state.cast::<Session<'_>>();
        let found = session.storage.get(bytes(&key));
        *value = match &found {
            Some(found) => (session.new_vector)(false, found.as_ptr(), found.len()),
            None => (session.new_vector)(true, ptr::null(), 0),
        };
    }
    0
}

extern "C" fn write(state: *mut c_void, key: Lent, value: Lent, _error: *mut Owned) -> i32 {
    // SAFETY: as in `read`.
    unsafe {
        let session = &mut *state.cast::<Session<'_>>();
        session
            .storage
            .set(bytes(&key).to_vec(), bytes(&value).to_vec());
    }
    0
}

extern "C" fn remove(state: *mut c_void, key: Lent, _error: *mut Owned) -> i32 {
    // SAFETY: as in `read`.
    unsafe {
        let session = &mut *state.cast::<Session<'_>>();
        session.storage.remove(bytes(&key).to_vec());
    }
    0
}

extern "C" fn unimplemented() -> i32 {
    UNIMPLEMENTED
}

/// # Safety
/// The view must be one the library lent for the running callback.
unsafe fn bytes<'a>(lent: &Lent) -> &'a [u8] {
    if lent.is_nil || lent.ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches for the view.
    unsafe { std::slice::from_raw_parts(lent.ptr, lent.len) }
}

/// Vectors of one loaded library.
struct Vectors {
    new: NewVector,
    free: DropVector,
}

impl Vectors {
    fn of(library: &Library) -> Result<Self, VmError> {
        // SAFETY: the signatures are those of the library's C header.
        unsafe {
            Ok(Self {
                new: *symbol::<NewVector>(library, "new_unmanaged_vector")?,
                free: *symbol::<DropVector>(library, "destroy_unmanaged_vector")?,
            })
        }
    }

    /// Copies what the library returned and gives its memory back.
    fn take(&self, owned: Owned) -> Option<Vec<u8>> {
        if owned.is_none {
            return None;
        }
        let copy = if owned.ptr.is_null() || owned.len == 0 {
            Vec::new()
        } else {
            // SAFETY: the library made this vector of `len` valid bytes.
            unsafe { std::slice::from_raw_parts(owned.ptr, owned.len) }.to_vec()
        };
        // SAFETY: it came from this library, is not used afterwards and is freed once.
        unsafe { (self.free)(owned) };
        Some(copy)
    }

    fn result(&self, returned: Owned, error: Owned) -> Result<Vec<u8>, String> {
        let value = self.take(returned).unwrap_or_default();
        match self.take(error) {
            Some(message) => {
                // With RUST_BACKTRACE the library adds its own call stacks, which tell nobody anything.
                let words = String::from_utf8_lossy(&message);
                Err(words
                    .split("\nBacktrace:")
                    .next()
                    .unwrap_or(&words)
                    .to_owned())
            }
            None => Ok(value),
        }
    }
}

/// # Safety
/// `T` must be the symbol's type.
unsafe fn symbol<'a, T>(library: &'a Library, name: &str) -> Result<Symbol<'a, T>, VmError> {
    // SAFETY: the caller vouches for the type.
    unsafe { library.get(name.as_bytes()) }.map_err(|error| VmError::Library(error.to_string()))
}

fn open(path: &Path) -> Result<Library, VmError> {
    // SAFETY: loading runs the library's initialisers; it is the pinned package that scripts/setup.sh installed.
    unsafe { Library::new(path) }
        .map_err(|error| VmError::Library(format!("{}: {error}", path.display())))
}

type Initialize =
    unsafe extern "C" fn(*mut c_void, Database, Api, Lent, Lent, Lent, *mut Owned) -> Owned;
type Execute = unsafe extern "C" fn(
    *mut c_void,
    *mut u64,
    Database,
    Api,
    Lent,
    Lent,
    Lent,
    *mut Owned,
) -> Owned;
type View =
    unsafe extern "C" fn(*mut c_void, *mut u64, Database, Api, Lent, Lent, *mut Owned) -> Owned;
type Decode = unsafe extern "C" fn(Database, *mut Owned, Lent, Lent) -> Owned;
type Convert = unsafe extern "C" fn(*mut Owned, Lent) -> Owned;

/// One Move VM with its caches.
pub struct Machine {
    raw: *mut c_void,
    vectors: Vectors,
    initialize: Initialize,
    execute: Execute,
    view: View,
    decode_resource: Decode,
    decode_value: Decode,
    module_abi: Convert,
    release: unsafe extern "C" fn(*mut c_void),
    /// Last, so that it is unloaded after everything that points into it.
    _library: Library,
}

// SAFETY: the VM holds no thread-local state; each method takes `&mut self`, so only one thread is inside at a time.
unsafe impl Send for Machine {}

impl Machine {
    /// # Errors
    /// The library cannot be loaded or is not the one that is expected.
    pub fn load(path: &Path, config: &[u8]) -> Result<Self, VmError> {
        let library = open(path)?;
        let vectors = Vectors::of(&library)?;
        // SAFETY: the signatures are those of the library's C header; `config` is what `allocate_vm` reads.
        unsafe {
            let allocate =
                *symbol::<unsafe extern "C" fn(Lent) -> *mut c_void>(&library, "allocate_vm")?;
            Ok(Self {
                initialize: *symbol(&library, "initialize")?,
                execute: *symbol(&library, "execute_contract")?,
                view: *symbol(&library, "execute_view_function")?,
                decode_resource: *symbol(&library, "decode_move_resource")?,
                decode_value: *symbol(&library, "decode_move_value")?,
                module_abi: *symbol(&library, "decode_module_bytes")?,
                release: *symbol(&library, "release_vm")?,
                raw: allocate(Lent::new(config)),
                vectors,
                _library: library,
            })
        }
    }

    fn with_storage<T>(
        &mut self,
        storage: &mut dyn Storage,
        call: impl FnOnce(&mut Self, Database, Api) -> T,
    ) -> T {
        let mut session = Session {
            storage,
            new_vector: self.vectors.new,
        };
        let database = Database {
            state: (&raw mut session).cast(),
            read: read as Callback,
            write: write as Callback,
            remove: remove as Callback,
            scan: unimplemented as Callback,
        };
        let api = Api {
            state: ptr::null(),
            calls: [unimplemented as Callback; 6],
        };
        call(self, database, api)
    }

    /// Publishes the first modules of a chain, in order of dependence, at 0x1.
    pub fn initialize(
        &mut self,
        storage: &mut dyn Storage,
        environment: &[u8],
        modules: &[u8],
        allowed: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.with_storage(storage, |machine, database, api| {
            let mut error = Owned::none();
            // SAFETY: all pointers live for the call; the payloads are BCS as the library reads it.
            let returned = unsafe {
                (machine.initialize)(
                    machine.raw,
                    database,
                    api,
                    Lent::new(environment),
                    Lent::new(modules),
                    Lent::new(allowed),
                    &raw mut error,
                )
            };
            machine.vectors.result(returned, error)
        })
    }

    /// Runs an entry function. `gas` holds the limit before and what is left after.
    pub fn execute(
        &mut self,
        storage: &mut dyn Storage,
        gas: &mut u64,
        environment: &[u8],
        senders: &[u8],
        call: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.with_storage(storage, |machine, database, api| {
            let mut error = Owned::none();
            // SAFETY: as in `initialize`.
            let returned = unsafe {
                (machine.execute)(
                    machine.raw,
                    gas,
                    database,
                    api,
                    Lent::new(environment),
                    Lent::new(senders),
                    Lent::new(call),
                    &raw mut error,
                )
            };
            machine.vectors.result(returned, error)
        })
    }

    /// Runs a view function.
    pub fn view(
        &mut self,
        storage: &mut dyn Storage,
        gas: &mut u64,
        environment: &[u8],
        call: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.with_storage(storage, |machine, database, api| {
            let mut error = Owned::none();
            // SAFETY: as in `initialize`.
            let returned = unsafe {
                (machine.view)(
                    machine.raw,
                    gas,
                    database,
                    api,
                    Lent::new(environment),
                    Lent::new(call),
                    &raw mut error,
                )
            };
            machine.vectors.result(returned, error)
        })
    }

    /// A resource's bytes as JSON; `tag` is a BCS struct tag.
    pub fn decode_resource(
        &mut self,
        storage: &mut dyn Storage,
        tag: &[u8],
        resource: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.decode(storage, self.decode_resource, tag, resource)
    }

    /// A value's bytes as JSON; `tag` is a BCS type tag.
    pub fn decode_value(
        &mut self,
        storage: &mut dyn Storage,
        tag: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.decode(storage, self.decode_value, tag, value)
    }

    fn decode(
        &mut self,
        storage: &mut dyn Storage,
        function: Decode,
        tag: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.with_storage(storage, |machine, database, _| {
            let mut error = Owned::none();
            // SAFETY: as in `initialize`; a tag that is not BCS makes the library panic, so callers pass only tags they made.
            let returned =
                unsafe { function(database, &raw mut error, Lent::new(tag), Lent::new(value)) };
            machine.vectors.result(returned, error)
        })
    }

    /// The interface of a compiled module as JSON.
    pub fn module_abi(&mut self, module: &[u8]) -> Result<Vec<u8>, String> {
        let mut error = Owned::none();
        // SAFETY: as in `initialize`.
        let returned = unsafe { (self.module_abi)(&raw mut error, Lent::new(module)) };
        self.vectors.result(returned, error)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `allocate_vm` and is released once.
        unsafe { (self.release)(self.raw) };
    }
}

type Build = unsafe extern "C" fn(*mut Owned, Lent) -> Owned;
type Build2 = unsafe extern "C" fn(*mut Owned, Lent, Lent) -> Owned;

/// Calls one function of the compiler's library. It ends the process at a compile error: call it in a child.
///
/// # Errors
/// The library cannot be loaded, or the words of its refusal.
pub fn compiler(
    path: &Path,
    function: &str,
    arguments: &[u8],
    options: Option<&[u8]>,
) -> Result<String, VmError> {
    let library = open(path)?;
    let vectors = Vectors::of(&library)?;
    let mut error = Owned::none();
    // SAFETY: the signatures are those of the library's C header; all bytes live for the call.
    let returned = unsafe {
        match options {
            Some(options) => (*symbol::<Build2>(&library, function)?)(
                &raw mut error,
                Lent::new(arguments),
                Lent::new(options),
            ),
            None => (*symbol::<Build>(&library, function)?)(&raw mut error, Lent::new(arguments)),
        }
    };
    vectors
        .result(returned, error)
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .map_err(VmError::Refused)
}
