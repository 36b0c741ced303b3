//! From a command to its answer's text.

use serde_json::Value;
use tp_api::{ApiClient, paths};

use crate::cli::{Cli, Command, Show};
use crate::error::CtlError;
use crate::{counters, show};

/// Asks the daemon and puts its answer into words, or JSON.
pub(crate) fn answer(cli: &Cli) -> Result<String, CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CtlError::Runtime)?;
    let client = ApiClient::new(&cli.socket);
    runtime.block_on(async {
        if cli.json {
            json(&client, &cli.command).await
        } else {
            text(&client, &cli.command).await
        }
    })
}

/// The API's answer itself: what this version does not know of is in it too.
async fn json(client: &ApiClient, command: &Command) -> Result<String, CtlError> {
    let value: Value = match command {
        Command::Show { what } => client.get(&path(what)).await?,
        Command::Lookup { vfib, address } => client.get(&paths::lookup(vfib, *address)).await?,
        Command::Reload => client.post(paths::RELOAD).await?,
        Command::Completions { .. } | Command::Man { .. } => {
            unreachable!("commands that need no daemon do not ask it")
        }
    };
    Ok(format!("{value:#}\n"))
}

fn path(what: &Show) -> String {
    match what {
        Show::Status => paths::STATUS.to_owned(),
        Show::Ports => paths::PORTS.to_owned(),
        Show::Upstreams => paths::UPSTREAMS.to_owned(),
        Show::Clients => paths::CLIENTS.to_owned(),
        Show::Tunnels => paths::TUNNELS.to_owned(),
        Show::Vfib { name: None } => paths::VFIBS.to_owned(),
        Show::Vfib { name: Some(name) } => paths::vfib(name),
        Show::Neighbours => paths::NEIGHBOURS.to_owned(),
        Show::Counters => paths::COUNTERS.to_owned(),
        Show::Drops => paths::DROPS.to_owned(),
    }
}

async fn text(client: &ApiClient, command: &Command) -> Result<String, CtlError> {
    Ok(match command {
        Command::Show { what } => show_text(client, what).await?,
        Command::Lookup { vfib, address } => show::lookup(&client.lookup(vfib, *address).await?),
        Command::Reload => show::reload(&client.reload().await?),
        Command::Completions { .. } | Command::Man { .. } => {
            unreachable!("commands that need no daemon do not ask it")
        }
    })
}

async fn show_text(client: &ApiClient, what: &Show) -> Result<String, CtlError> {
    Ok(match what {
        Show::Status => show::status(&client.status().await?),
        Show::Ports => show::ports(&client.ports().await?),
        Show::Upstreams => show::upstreams(&client.upstreams().await?),
        Show::Clients => show::clients(&client.clients().await?),
        Show::Tunnels => show::tunnels(&client.tunnels().await?),
        Show::Vfib { name: None } => show::vfibs(&client.vfibs().await?),
        Show::Vfib { name: Some(name) } => show::vfib(&client.vfib(name).await?),
        Show::Neighbours => show::neighbours(&client.neighbours().await?),
        Show::Counters => counters::counters(&client.counters().await?),
        Show::Drops => counters::drops(&client.drops().await?),
    })
}
