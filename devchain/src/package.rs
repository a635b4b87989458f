//! Move packages: compile one, run its unit tests with coverage.
//!
//! A package is copied aside first, with the framework replaced by a stand-in, so that the sources name the real framework
//! and nothing is fetched. The compiler ends its process at an error, therefore it runs in a child: the binary
//! `iog-devchain` with a command that is not for people.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::types::Address;
use crate::vm::{Libraries, VmError, compiler};

/// The command of the child process.
pub const CHILD: &str = "move-compiler";

/// The compiler, and the program that runs it.
#[derive(Debug, Clone)]
pub struct Toolkit {
    libraries: Libraries,
    program: PathBuf,
}

/// A compiled package.
#[derive(Debug, Clone)]
pub struct Built {
    /// The package's own modules, in order of dependence.
    pub modules: Vec<Vec<u8>>,
    /// Those of the framework's stand-in.
    pub framework: Vec<Vec<u8>>,
}

/// What the unit tests of a package gave.
#[derive(Debug, Clone)]
pub struct Tested {
    pub passed: bool,
    /// What the runner printed: a line for each test, and the failures.
    pub output: String,
    /// Covered share of each module's instructions in hundredths of a percent, by module.
    pub coverage: BTreeMap<String, u32>,
}

#[derive(Serialize)]
struct Arguments<'a> {
    package: Option<&'a str>,
    verbose: bool,
    build: Build,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the library's own options, in its order"
)]
struct Build {
    dev_mode: bool,
    test_mode: bool,
    docs: bool,
    abis: bool,
    install: Option<String>,
    force: bool,
    fetch_only: bool,
    skip_fetch: bool,
    bytecode: u32,
    compiler: &'static str,
    language: &'static str,
    addresses: Vec<(String, [u8; 32])>,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the library's own options, in its order"
)]
struct TestOptions {
    filter: Option<String>,
    statistics: bool,
    storage_on_error: bool,
    ignore_warnings: bool,
    coverage: bool,
}

/// The newest the library knows; Aptos's mainnet accepts it.
const BYTECODE: u32 = 7;
const LANGUAGE: &str = "2.1";

/// The package in `move/`, which the program carries with it.
const SUPPORT_MANIFEST: &str = include_str!("../move/Move.toml");
const SUPPORT: [(&str, &str); 3] = [
    (
        "aptos_coin",
        include_str!("../move/sources/aptos_coin.move"),
    ),
    (
        "aptos_account",
        include_str!("../move/sources/aptos_account.move"),
    ),
    ("coin", include_str!("../move/sources/coin.move")),
];

impl Toolkit {
    /// `program` is the binary `iog-devchain`.
    pub fn new(libraries: Libraries, program: impl Into<PathBuf>) -> Self {
        Self {
            libraries,
            program: program.into(),
        }
    }

    /// Compiles the package in `package` against the stand-in of the framework, with the given named addresses.
    ///
    /// # Errors
    /// A file cannot be read, or the compiler's words about an error in the sources.
    pub fn build(
        &self,
        package: &Path,
        standin: &Path,
        addresses: &[(&str, Address)],
    ) -> Result<Built, VmError> {
        Ok(Built {
            modules: self.modules(package, standin, addresses)?,
            framework: self.framework(standin)?,
        })
    }

    /// As `build`, without the stand-in.
    ///
    /// # Errors
    /// As `build`.
    pub fn modules(
        &self,
        package: &Path,
        standin: &Path,
        addresses: &[(&str, Address)],
    ) -> Result<Vec<Vec<u8>>, VmError> {
        let copy = copy(package, standin, addresses)?;
        self.compile(package, copy.path())
    }

    /// Compiles a prepared package.
    fn compile(&self, called: &Path, package: &Path) -> Result<Vec<Vec<u8>>, VmError> {
        let (worked, output) = self.child("build", package, "")?;
        if !worked {
            return Err(VmError::Refused(format!(
                "{} does not compile:\n{output}",
                called.display()
            )));
        }
        let built = only_directory(&package.join("build"))?.join("bytecode_modules");
        crate::vm::in_order(modules(&built)?)
    }

    /// The stand-in's own modules. They are compiled by themselves: as another's dependency they would lose their attributes,
    /// and the VM would refuse their events.
    ///
    /// # Errors
    /// A file cannot be read, or the stand-in does not compile.
    pub fn framework(&self, standin: &Path) -> Result<Vec<Vec<u8>>, VmError> {
        let copy = copy(standin, standin, &[])?;
        self.compile(standin, copy.path())
    }

    /// What the development chain adds to the stand-in at 0x1, unless the stand-in has it itself: APT, and how to send it.
    ///
    /// # Errors
    /// A file cannot be written, or the sources do not fit the stand-in.
    pub fn support(&self, standin: &Path, framework: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, VmError> {
        let mut there = Vec::new();
        for module in framework {
            there.push(crate::vm::header(module)?.id.name);
        }
        let package = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
        let sources = package.path().join("sources");
        fs::create_dir(&sources).map_err(at(&sources))?;
        let manifest = package.path().join("Move.toml");
        fs::write(&manifest, SUPPORT_MANIFEST).map_err(at(&manifest))?;
        for (name, text) in SUPPORT {
            if !there.iter().any(|module| module == name) {
                let file = sources.join(format!("{name}.move"));
                fs::write(&file, text).map_err(at(&file))?;
            }
        }
        let faucet = crate::chain::development_address();
        let addresses = [("devchain_faucet", faucet)];
        self.modules(package.path(), standin, &addresses)
    }

    /// Runs the package's unit tests; `filter` is part of a test's name, or empty for all.
    ///
    /// # Errors
    /// A file cannot be read. Tests that fail are no error but a result.
    pub fn test(
        &self,
        package: &Path,
        standin: &Path,
        addresses: &[(&str, Address)],
        filter: &str,
    ) -> Result<Tested, VmError> {
        let copy = copy(package, standin, addresses)?;
        let (passed, output) = self.child("test", copy.path(), filter)?;
        let coverage = read_coverage(&output);
        Ok(Tested {
            passed,
            output,
            coverage,
        })
    }

    fn child(&self, task: &str, package: &Path, filter: &str) -> Result<(bool, String), VmError> {
        let output = Command::new(&self.program)
            .args([CHILD, task])
            .arg(package)
            .arg(format!("--filter={filter}"))
            .env("IOG_MOVE_LIBS", self.libraries.directory())
            // Whatever the compiler wants to remember stays with this copy.
            .env("MOVE_HOME", package.join(".move"))
            .output()
            .map_err(|error| VmError::File {
                path: self.program.clone(),
                error,
            })?;
        let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
        words.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), words))
    }
}

/// What the child process does: one task of the compiler on a prepared package. `check` runs the tests as `test` does, several
/// times faster because it does not trace what is covered.
///
/// # Errors
/// The library's refusal. At a compile error the process ends in the library instead.
pub fn child(
    libraries: &Libraries,
    task: &str,
    package: &Path,
    filter: &str,
) -> Result<String, VmError> {
    let package = package.to_string_lossy();
    let arguments = bcs::to_bytes(&Arguments {
        package: Some(&package),
        verbose: false,
        build: Build {
            dev_mode: task != "build",
            test_mode: task != "build",
            docs: false,
            abis: false,
            install: Some(String::new()),
            force: false,
            fetch_only: false,
            skip_fetch: true,
            bytecode: BYTECODE,
            compiler: LANGUAGE,
            language: LANGUAGE,
            addresses: Vec::new(),
        },
    })?;
    let library = libraries.compiler();
    match task {
        "build" => compiler(&library, "build_move_package", &arguments, None),
        "test" | "check" => {
            let options = bcs::to_bytes(&TestOptions {
                filter: Some(filter.to_owned()),
                statistics: false,
                storage_on_error: false,
                ignore_warnings: true,
                coverage: task == "test",
            })?;
            compiler(&library, "test_move_package", &arguments, Some(&options))
        }
        other => Err(VmError::Refused(format!("unknown task {other:?}"))),
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> VmError {
    let path = path.to_owned();
    move |error| VmError::File { path, error }
}

/// The package with its dependencies replaced by the stand-in and its named addresses settled.
fn copy(
    package: &Path,
    standin: &Path,
    addresses: &[(&str, Address)],
) -> Result<tempfile::TempDir, VmError> {
    let to = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
    let manifest_path = package.join("Move.toml");
    let text = fs::read_to_string(&manifest_path).map_err(at(&manifest_path))?;
    let unreadable = |error: &dyn std::fmt::Display| {
        VmError::Refused(format!("{}: {error}", manifest_path.display()))
    };
    let mut manifest: toml::Table = text.parse().map_err(|error| unreadable(&error))?;
    let standin = fs::canonicalize(standin).map_err(at(standin))?;
    let mut framework = toml::Table::new();
    framework.insert(
        "local".into(),
        standin.to_string_lossy().into_owned().into(),
    );
    let mut dependencies = toml::Table::new();
    if fs::canonicalize(package).map_err(at(package))? != standin {
        dependencies.insert("AptosFramework".into(), framework.into());
    }
    manifest.insert("dependencies".into(), dependencies.into());
    manifest.remove("dev-dependencies");
    for section in ["addresses", "dev-addresses"] {
        if let Some(toml::Value::Table(named)) = manifest.get_mut(section) {
            if section == "dev-addresses" {
                named.retain(|name, _| !addresses.iter().any(|(settled, _)| *settled == name));
            } else {
                for (name, address) in addresses {
                    named.insert((*name).to_owned(), address.long().into());
                }
            }
        }
    }
    let text = toml::to_string(&manifest).map_err(|error| unreadable(&error))?;
    let written = to.path().join("Move.toml");
    fs::write(&written, text).map_err(at(&written))?;
    for folder in ["sources", "tests"] {
        let from = package.join(folder);
        if from.is_dir() {
            copy_folder(&from, &to.path().join(folder))?;
        }
    }
    Ok(to)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), VmError> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        let to = to.join(name);
        if path.is_dir() {
            copy_folder(&path, &to)?;
        } else {
            fs::copy(&path, &to).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn only_directory(parent: &Path) -> Result<PathBuf, VmError> {
    for entry in fs::read_dir(parent).map_err(at(parent))? {
        let path = entry.map_err(at(parent))?.path();
        if path.join("bytecode_modules").is_dir() {
            return Ok(path);
        }
    }
    Err(VmError::Refused(format!(
        "{}: the compiler left no modules",
        parent.display()
    )))
}

/// The compiled modules in a folder.
fn modules(folder: &Path) -> Result<Vec<Vec<u8>>, VmError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "mv") {
            found.push(fs::read(&path).map_err(at(&path))?);
        }
    }
    Ok(found)
}

/// Reads the summary that the test runner prints for each module.
fn read_coverage(output: &str) -> BTreeMap<String, u32> {
    let mut coverage = BTreeMap::new();
    let mut module = None;
    for line in output.lines() {
        if let Some(path) = line.strip_prefix("Module ") {
            module = path.rsplit("::").next().map(str::to_owned);
        } else if let Some(percent) = line.strip_prefix(">>> % Module coverage: ") {
            let (whole, part) = percent.trim().split_once('.').unwrap_or((percent, "0"));
            if let (Some(module), Ok(whole), Ok(part)) = (
                module.take(),
                whole.parse::<u32>(),
                format!("{part:0<2.2}").parse::<u32>(),
            ) {
                coverage.insert(module, whole * 100 + part);
            }
        }
    }
    coverage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_read_to_the_hundredth() {
        let read = read_coverage(
            "Module 00cafe::coin\n>>> % Module coverage: 75.34\nModule 00cafe::b\n>>> % Module coverage: 100.00\nModule 0::c\n>>> % Module coverage: NaN\n",
        );
        assert_eq!(
            read,
            BTreeMap::from([("coin".into(), 7_534), ("b".into(), 10_000)])
        );
    }
}
