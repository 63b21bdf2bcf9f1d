//! `oto-load`: the traffic tools of the benches that need more than a closed-loop generator.
//!
//! Every verb prints one JSON object a line on standard output; what goes wrong is one line on
//! standard error and exit code 1, a wrong command line is exit code 2.

mod client;
mod constant;
mod grpc;
mod handshake;
mod idle;
mod message;
mod stream;
mod tls;
mod upstream;
mod websocket;

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use client::{Destination, fault};

const USAGE: &str = "\
usage: oto-load VERB --address IP:PORT [options]
  upstream                                   answer GET .../bytes/N and swallow request bodies
  constant --host H --target T --rate N --connections N --seconds S
  handshakes --host H --target T --connections N --seconds S --resume yes|no
  idle     --host H --target T --connections N --websocket yes|no
  up|down  --host H --target T --bytes N --connections N
  echo     --host H --target T --connections N --bytes N --seconds S    messages of WebSockets
  grpc-upstream                              answer unary calls over HTTP/2 without TLS

The upstream speaks WebSocket, too, and says what it hears. up and down move the octets on each connection.
With --tls yes, constant speaks TLS. --fields FILE names a file with further header fields.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(text) => return usage(&text),
    };
    let ran = match verb.as_str() {
        "upstream" => options.get("address").map(upstream::serve),
        "grpc-upstream" => options.get("address").map(grpc::serve),
        "echo" => options.echo(),
        "constant" => options.constant(),
        "handshakes" => options.handshakes(),
        "idle" => options
            .destination()
            .and_then(|to| Ok((to, options.get("connections")?, options.is("websocket")?)))
            .map(|(to, count, websocket)| idle::run(&to, count, websocket)),
        "up" | "down" => options
            .destination()
            .and_then(|to| Ok((to, options.get("bytes")?, options.get("connections")?)))
            .map(|(to, size, count)| {
                let way = if verb == "up" {
                    stream::up
                } else {
                    stream::down
                };
                stream::run(&to, size, count, way)
            }),
        _ => Err(format!("unknown verb {verb:?}")),
    };
    match ran {
        Err(text) => usage(&text),
        Ok(Err(error)) => {
            eprintln!("oto-load {verb}: {error}");
            ExitCode::from(1)
        }
        Ok(Ok(())) => ExitCode::SUCCESS,
    }
}

fn usage(text: &str) -> ExitCode {
    eprintln!("oto-load: {text}\n{USAGE}");
    ExitCode::from(2)
}

struct Options(HashMap<String, String>);

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = HashMap::new();
        while let Some(flag) = arguments.next() {
            let name = flag
                .strip_prefix("--")
                .ok_or_else(|| format!("unexpected {flag:?}"))?;
            let value = arguments
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self(options))
    }

    fn get<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self
            .0
            .get(name)
            .ok_or_else(|| format!("--{name} is needed"))?;
        text.parse()
            .map_err(|_| format!("--{name} {text:?} cannot be read"))
    }

    fn destination(&self) -> Result<Destination, String> {
        Ok(Destination {
            address: self.get("address")?,
            host: self.get("host")?,
            target: self.get("target")?,
            fields: self.fields()?,
            tls: self.is("tls")?,
        })
    }

    /// Whether an option says `yes`; absent is no.
    fn is(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name).map(String::as_str) {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(format!("--{name} {other:?} is neither yes nor no")),
        }
    }

    /// The lines of the file that `--fields` names, as header fields.
    fn fields(&self) -> Result<String, String> {
        let Some(path) = self.0.get("fields") else {
            return Ok(String::new());
        };
        let text = std::fs::read_to_string(path).map_err(|error| format!("--fields: {error}"))?;
        Ok(text.lines().map(|line| format!("{line}\r\n")).collect())
    }

    fn echo(&self) -> Result<io::Result<()>, String> {
        let to = self.destination()?;
        let (connections, size) = (self.get("connections")?, self.get("bytes")?);
        let seconds = Duration::from_secs_f64(self.get::<f64>("seconds")?);
        Ok(websocket::run(&to, connections, size, seconds))
    }

    fn handshakes(&self) -> Result<io::Result<()>, String> {
        let to = self.destination()?;
        let connections = self.get("connections")?;
        let seconds = Duration::from_secs_f64(self.get::<f64>("seconds")?);
        Ok(handshake::run(
            &to,
            connections,
            seconds,
            self.is("resume")?,
        ))
    }

    fn constant(&self) -> Result<io::Result<()>, String> {
        let to = self.destination()?;
        let rate = self.get::<u32>("rate")?;
        if rate == 0 {
            return Err("--rate must be at least 1 request a second".to_owned());
        }
        let connections = self.get("connections")?;
        let seconds = Duration::from_secs_f64(self.get::<f64>("seconds")?);
        Ok(constant::run(&to, rate, connections, seconds).and_then(|outcome| {
            println!(
                "{{\"requests\":{},\"seconds\":{:.6},\"p50_ms\":{:.6},\"p95_ms\":{:.6},\"p99_ms\":{:.6},\"errors\":{}}}",
                outcome.latencies.len(),
                outcome.elapsed.as_secs_f64(),
                idle::percentile_ms(&outcome.latencies, 0.50),
                idle::percentile_ms(&outcome.latencies, 0.95),
                idle::percentile_ms(&outcome.latencies, 0.99),
                outcome.error_count,
            );
            if outcome.error_count > 0 {
                return Err(fault(outcome.errors.join("; ")));
            }
            Ok(())
        }))
    }
}
