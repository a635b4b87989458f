//! `iog-server copy-database`: from SQLite to Postgres, and back. It reads no configuration: both addresses are said.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use exchange::{CopyError, CopyStep, DatabaseCopy, copy_database};
use tokio::time::Instant;

const TELL_EVERY: Duration = Duration::from_secs(1);

/// It is not known whether the target kept the copy; 1 says that it did not.
const IN_DOUBT: u8 = 2;

#[derive(Args)]
pub struct CopyDatabase {
    /// sqlite:path or postgres://user:password@host/name; the variable keeps a password out of the list of processes
    #[arg(long, env = "IOG_COPY_FROM", hide_env_values = true)]
    from: String,
    /// As --from: a database without rows
    #[arg(long, env = "IOG_COPY_TO", hide_env_values = true)]
    to: String,
    /// Copy the source as it is at this moment although a server has it open; what that writes afterwards is not in the copy
    #[arg(long)]
    of_a_running_server: bool,
}

impl CopyDatabase {
    pub async fn done(self) -> ExitCode {
        let copy = DatabaseCopy {
            from: self.from,
            to: self.to,
            of_a_running_server: self.of_a_running_server,
        };
        let begun = Instant::now();
        let mut teller = Teller { said: begun };
        match copy_database(&copy, |step| teller.hear(&step)).await {
            Ok(tables) => {
                for table in &tables {
                    println!(
                        "{:<20} {:>10} rows  {}",
                        table.name, table.rows, table.digest
                    );
                }
                let rows: u64 = tables.iter().map(|table| table.rows).sum();
                println!(
                    "copied and compared: {rows} rows of {} tables in {:.1} s. Both sides have the same rows, the books sum to zero, \
                     and each balance is what its transfers make it.",
                    tables.len(),
                    begun.elapsed().as_secs_f64()
                );
                ExitCode::SUCCESS
            }
            Err(error @ CopyError::Doubt(_)) => {
                eprintln!("iog-server: {error}");
                ExitCode::from(IN_DOUBT)
            }
            Err(error) => {
                eprintln!("iog-server: nothing was copied: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Says once a second how far it is.
struct Teller {
    said: Instant,
}

impl Teller {
    fn hear(&mut self, step: &CopyStep<'_>) {
        if self.said.elapsed() < TELL_EVERY {
            return;
        }
        self.said = Instant::now();
        match step {
            CopyStep::Copied { table, rows, of } => eprintln!("  {table}: {rows} of {of} rows"),
            CopyStep::Verifying { table, rows } => eprintln!("  comparing {table}: {rows} rows"),
        }
    }
}
