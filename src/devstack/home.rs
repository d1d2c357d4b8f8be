//! The directory that the servers live in, and the files in it.
//!
//! | file | what |
//! |---|---|
//! | `postgres/` | the database cluster, only its server's account may enter |
//! | `redis/` | Redis's working directory and its generated configuration |
//! | `programs/` | fetched servers, each in a directory named after its version |
//! | `postgres.log`, `redis.log` | what the servers wrote |
//! | `postgres.password`, `redis.password` | random, made once, readable by their owner only |
//! | `users.lock` | held shared by each user of a shared stack, exclusively by an owner |
//! | `starting.lock` | held while servers are started or stopped |
//! | `stack.json` | where the servers of a running shared stack are |

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{DevstackError, Result, io_error};
use super::server_user::ServerUser;

/// Where the servers of a root process live if their account can't reach the data directory.
const FALLBACK_PARENT: &str = "/var/tmp";

/// Bytes of the data directory's hash in the fallback's name.
const FALLBACK_HASH_BYTES: usize = 8;

/// The file in the data directory that says where the fallback is.
const POINTER_FILE: &str = "servers-live-in";

/// Random bytes of a password.
const SECRET_BYTES: usize = 16;

/// Others may pass through, as the servers' account must, but not look around.
const HOME_MODE: u32 = 0o711;
const PRIVATE_DIRECTORY_MODE: u32 = 0o700;
const PRIVATE_FILE_MODE: u32 = 0o600;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The servers' directory and the account that they run as.
#[derive(Clone, Debug)]
pub(super) struct Home {
    root: PathBuf,
    /// Set when this process is root.
    pub(super) user: Option<ServerUser>,
}

impl Home {
    /// Creates the data directory if need be and decides where the servers live.
    pub(super) async fn prepare(data_dir: &Path) -> Result<Self> {
        fs::create_dir_all(data_dir).map_err(io_error("create", data_dir))?;
        let data_dir = fs::canonicalize(data_dir).map_err(io_error("open", data_dir))?;
        let fallback = fallback_for(&data_dir);
        let home = Self { user: ServerUser::choose(&data_dir.join("postgres"))?, root: data_dir };
        match home.user {
            Some(user) if !user.can_reach(&home.root).await => {
                make_fallback(&fallback)?;
                let pointer = home.root.join(POINTER_FILE);
                fs::write(&pointer, format!("{}\n", fallback.display()))
                    .map_err(io_error("write", &pointer))?;
                let user = ServerUser::choose(&fallback.join("postgres"))?;
                Ok(Self { root: fallback, user })
            }
            _ => Ok(home),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.path("postgres")
    }

    pub(super) fn redis(&self) -> PathBuf {
        self.path("redis")
    }

    pub(super) fn programs(&self) -> PathBuf {
        self.path("programs")
    }

    /// Makes `command` run as the servers' account, without this process's environment: a stray
    /// `PGDATA` or `PGPORT` must not steer a private server.
    pub(super) fn confine(&self, command: &mut tokio::process::Command) {
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir(&self.root);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(user) = self.user {
            user.apply(command);
        }
    }

    /// Creates a directory that only the servers' account can enter; keeps one that exists.
    pub(super) fn make_private_directory(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new()
            .mode(PRIVATE_DIRECTORY_MODE)
            .create(path)
            .map_err(io_error("create", path))?;
        self.user.map_or(Ok(()), |user| user.give(path))
    }

    /// Writes a file that only the servers' account can read.
    pub(super) fn write_for_servers(&self, path: &Path, text: &str) -> Result<()> {
        write_private(path, text)?;
        self.user.map_or(Ok(()), |user| user.give(path))
    }

    /// A password, made at its first use.
    pub(super) fn secret(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        if let Ok(secret) = fs::read_to_string(&path)
            && !secret.is_empty()
        {
            return Ok(secret);
        }
        let secret = hex::encode(rand::random::<[u8; SECRET_BYTES]>());
        write_private(&path, &secret)?;
        Ok(secret)
    }
}

/// Writes a file that only its owner can read, and shows it under its name only when complete.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    // A leftover of an earlier run could have other permissions, or be a link.
    let _ = fs::remove_file(&partial);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE_MODE)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(io_error("write", &partial))?;
    fs::rename(&partial, path).map_err(io_error("write", path))
}

fn fallback_for(data_dir: &Path) -> PathBuf {
    let hash = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    Path::new(FALLBACK_PARENT).join(format!("onsale-{}", hex::encode(&hash[..FALLBACK_HASH_BYTES])))
}

/// Creates the fallback, or makes sure that it is ours: its parent is open to everybody, and its
/// name can be guessed.
fn make_fallback(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(HOME_MODE).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(HOME_MODE))
            .map_err(io_error("set the permissions of", path)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(io_error("open", path))?;
            let trusted = metadata.is_dir()
                && metadata.uid() == rustix::process::geteuid().as_raw()
                && metadata.mode() & WRITABLE_BY_OTHERS == 0;
            if trusted { Ok(()) } else { Err(DevstackError::Untrusted(path.to_path_buf())) }
        }
        Err(error) => Err(io_error("create", path)(error)),
    }
}
