//! `iog-devchain`: the development chain as a program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use devchain::package;
use devchain::vm::Libraries;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Not for people: the compiler's child process.
    #[command(name = package::CHILD, hide = true)]
    Compiler {
        task: String,
        package: PathBuf,
        #[arg(long, default_value = "")]
        filter: String,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iog-devchain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    match arguments.command {
        Some(Command::Compiler {
            task,
            package,
            filter,
        }) => {
            let libraries = Libraries::find()?;
            println!("{}", package::child(&libraries, &task, &package, &filter)?);
            Ok(())
        }
        None => Ok(()),
    }
}
