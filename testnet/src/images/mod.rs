//! `images`: what a compose network runs on, made on this machine without any registry.
//!
//! The homeserver's image holds the program and nothing else. It comes in two forms: as it is shipped
//! ([`Form::Shipped`]: optimized, linked statically), which takes minutes to build; and quickly
//! ([`Form::Quick`]): the program that cargo built beside this one, with the shared libraries that it
//! asks for. The stand-ins for images that others publish are made from packages of Debian.

pub mod homeserver;
pub mod packages;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::{Images, Options};
use crate::docker::{Docker, docker, done, text};
use crate::narrator::Narrator;
use packages::StandIn;

/// The homeserver's image, unless [`HOMESERVER_VARIABLE`] names another.
pub const HOMESERVER_IMAGE: &str = "entente-homeserver:local";
/// The environment variable that names the homeserver's image: the one to make, and the one to use.
pub const HOMESERVER_VARIABLE: &str = "ENTENTE_HOMESERVER_IMAGE";
/// The stand-in for the official image of Postgres.
pub const POSTGRES_IMAGE: &str = "entente-postgres:local";
/// The stand-in for the official image of Prometheus.
pub const PROMETHEUS_IMAGE: &str = "entente-prometheus:local";
/// On an image: where it holds the library that shows a program another time.
const FAKE_CLOCK_LABEL: &str = "entente.fake-clock";

/// Which form the homeserver's image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Optimized and linked statically.
    Shipped,
    /// As cargo built it beside this program, with its shared libraries.
    Quick,
}

/// An image as scripts see it.
#[derive(Debug, Serialize)]
struct Made {
    image: String,
    /// Whether it was made now, or was there already.
    made: bool,
    bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct AllMade {
    images: Vec<Made>,
}

/// Makes the images. Stand-ins that are there already stay, unless `--again` says otherwise.
///
/// # Errors
/// When a tool is missing, with what to install, or an image cannot be made.
pub async fn run(options: &Options, what: &Images) -> Result<ExitCode> {
    let narrator = Narrator::new(options.json);
    Docker::engine().await?;
    narrator.act("Images for a compose network");
    let form = if what.quick {
        Form::Quick
    } else {
        Form::Shipped
    };
    let mut images = Vec::new();
    let began = Instant::now();
    let image = homeserver_image();
    let before = id_of(&image).await;
    homeserver::make(options.build_choice(), form, narrator).await?;
    forget(before, &image).await;
    images.push(Made::now(&image, began).await?);
    let mut stand_ins = vec![StandIn::Postgres];
    if what.prometheus {
        stand_ins.push(StandIn::Prometheus);
    }
    for stand_in in stand_ins {
        let (image, began) = (stand_in.image(), Instant::now());
        let made = what.again || !is_there(image).await;
        if made {
            let before = id_of(image).await;
            packages::make(stand_in, narrator).await?;
            forget(before, image).await;
        }
        let now = Made::now(image, began).await?;
        images.push(Made { made, ..now });
    }
    for image in &images {
        narrator.line(&image.to_string());
    }
    let all = AllMade { images };
    let next = "the images are there; `testnet compose up` starts a network";
    narrator.result(&all, next);
    Ok(ExitCode::SUCCESS)
}

/// The name of the homeserver's image.
#[must_use]
pub fn homeserver_image() -> String {
    let named = std::env::var(HOMESERVER_VARIABLE);
    let named = named.ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| HOMESERVER_IMAGE.to_owned())
}

/// Whether an image is on this machine.
pub async fn is_there(image: &str) -> bool {
    done(docker().args(["image", "inspect", image]))
        .await
        .is_ok()
}

async fn id_of(image: &str) -> Option<String> {
    let mut inspect = docker();
    inspect.args(["image", "inspect", "--format", "{{.Id}}", image]);
    let id = text(&mut inspect).await.ok()?;
    Some(id.trim().to_owned())
}

/// Removes the image whose name another one has now, if it has no other. One that is in use stays, without a
/// name.
async fn forget(before: Option<String>, image: &str) {
    if let Some(before) = before
        && id_of(image).await.is_some_and(|now| now != before)
        && is_nameless(&before).await
    {
        let _in_use: Result<()> = done(docker().args(["image", "rm", &before])).await;
    }
}

async fn is_nameless(id: &str) -> bool {
    let mut inspect = docker();
    inspect.args(["image", "inspect", "--format", "{{len .RepoTags}}", id]);
    text(&mut inspect)
        .await
        .is_ok_and(|count| count.trim() == "0")
}

/// Where an image of the homeserver's holds the library that shows it another time, if it does.
///
/// # Errors
/// When there is no such image.
pub async fn fake_clock_of(image: &str) -> Result<Option<String>> {
    let template = format!("{{{{index .Config.Labels \"{FAKE_CLOCK_LABEL}\"}}}}");
    let told = text(docker().args(["image", "inspect", "--format", &template, image])).await?;
    let told = told.trim();
    Ok(told.starts_with('/').then(|| told.to_owned()))
}

impl Made {
    async fn now(image: &str, began: Instant) -> Result<Self> {
        let mut inspect = docker();
        inspect.args(["image", "inspect", "--format", "{{.Size}}", image]);
        let size = text(&mut inspect).await?;
        Ok(Self {
            image: image.to_owned(),
            made: true,
            bytes: size.trim().parse().context("Docker names no size")?,
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.made { "made" } else { "was there" };
        let megabytes = self.bytes as f64 / 1e6;
        let (image, seconds) = (&self.image, self.seconds);
        write!(f, "✓ {image}  {megabytes:.1} MB, {how}, {seconds:.1} s")
    }
}

/// Builds the homeserver's image from a context that was laid out.
async fn build(context: &Path, uid: u32, fake_clock: Option<&Path>) -> Result<()> {
    let library = fake_clock.map_or_else(String::new, |path| path.display().to_string());
    let mut command = docker();
    command
        .arg("build")
        .args(["--tag", &homeserver_image()])
        .args(["--label", &format!("{FAKE_CLOCK_LABEL}={library}")])
        .args(["--build-arg", &format!("UID={uid}")])
        .arg(context);
    done(&mut command).await
}
