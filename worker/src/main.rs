//! The `iog-worker` program.

fn main() -> std::process::ExitCode {
    if let Some(code) = worker::sandbox::run_if_helper() {
        return code;
    }
    std::process::ExitCode::FAILURE
}
