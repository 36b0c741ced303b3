//! `tpctl`: asks the daemon over its control API and shows the answers, as tables for people or as
//! the API's own JSON.
//!
//! `cli` reads the command line, `ask` gets the answers, `show` and `counters` make tables of
//! them, `error` says what went wrong, why, and what would help.
#![forbid(unsafe_code)]

mod ask;
mod cli;
mod counters;
mod error;
mod show;
mod table;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use error::CtlError;

/// Runs the command that these arguments name, the program's own name first.
///
/// Exit codes: 0 done, 1 the daemon refused, 2 wrong usage, 3 no daemon to be reached, 4 an answer
/// that is not understood or cannot be written.
pub fn run<I>(arguments: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
{
    match Cli::try_parse_from(arguments) {
        Ok(cli) => finish(execute(&cli, out), err),
        Err(usage) => {
            let code = u8::try_from(usage.exit_code()).unwrap_or(2);
            let to: &mut dyn Write = if usage.use_stderr() { err } else { out };
            // Where the text cannot be shown, the exit code still tells.
            let _ = write!(to, "{}", usage.render());
            ExitCode::from(code)
        }
    }
}

fn finish(result: Result<(), CtlError>, err: &mut dyn Write) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough.
        Err(CtlError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Where standard error fails, the exit code still tells.
            let _ = write!(err, "{}", error.explained());
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(cli: &Cli, out: &mut dyn Write) -> Result<(), CtlError> {
    match &cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tpctl", &mut script);
            out.write_all(&script).map_err(CtlError::Output)
        }
        Command::Man { directory } => {
            clap_mangen::generate_to(Cli::command(), directory).map_err(CtlError::Output)
        }
        Command::Show { .. } | Command::Lookup { .. } | Command::Reload => {
            let text = ask::answer(cli)?;
            out.write_all(text.as_bytes()).map_err(CtlError::Output)
        }
    }
}
