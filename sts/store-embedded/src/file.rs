//! The store's file. It is created as a whole or not at all, and opened only if every checksum in
//! it is right.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError};

use super::open_error::OpenError;
use super::open_file::{FileIdentity, FileOrigin, OpenedStore};
use super::tables::{EARLIEST_SCHEMA_VERSION, META, SCHEMA, SCHEMA_VERSION};
use super::watched_file::WatchedFile;
use super::write::Tables;

/// Page cache in bytes. The operating system caches the file as well, so a larger one gains little.
const CACHE: usize = 8 << 20;

/// Opens the store at `path`, or creates it if nothing is there.
pub(super) fn open_or_create(path: &Path) -> Result<OpenedStore, OpenError> {
    match open(path) {
        Err(OpenError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            open(path)
        }
        opened => opened,
    }
}

/// Opens the existing store at `path`.
///
/// This verifies all checksums, which reads the whole file (about a millisecond per MiB). redb
/// trusts the pages that it reads later, and a damaged page could pass for an empty table.
pub(super) fn open(path: &Path) -> Result<OpenedStore, OpenError> {
    let io = |cause| OpenError::Io { path: path.to_owned(), doing: "opened", cause };
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(damaged(path, "it is not a file"));
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(damaged(path, "it is empty"));
    }
    let identity = FileIdentity::of(&file).map_err(io)?;
    let backend = FileBackend::new(file).map_err(|error| refusal(path, error))?;
    open_in(path, identity, backend)
}

/// Opens the store in `backend`, which is the file `identity` at `path`. Only a sound one is written to.
pub(super) fn open_in(
    path: &Path,
    identity: FileIdentity,
    backend: impl StorageBackend,
) -> Result<OpenedStore, OpenError> {
    let watched = WatchedFile::new(backend);
    let watch = watched.watch();
    let database = open_engine(path, || builder().create_with_backend(watched))?;
    if let Some(file) = watch.upgrade() {
        file.apply_changes().map_err(|cause| OpenError::Io { path: path.to_owned(), doing: "written", cause })?;
    }
    Ok(OpenedStore { database, origin: Some(FileOrigin { identity, watch }) })
}

/// Opens the database with `open` and checks the schema. A test can inject failures through `open`.
pub(super) fn open_engine(
    path: &Path,
    open: impl FnOnce() -> Result<Database, DatabaseError>,
) -> Result<Database, OpenError> {
    // redb reports damage as an error. A panic on a damaged page means damage, too.
    let database = match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| refusal(path, error))?,
        Err(_) => return Err(damaged(path, "its structure is broken")),
    };
    match schema(&database) {
        Ok(Some(EARLIEST_SCHEMA_VERSION..=SCHEMA_VERSION)) => Ok(database),
        Ok(Some(found)) if found > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        Ok(_) => Err(damaged(path, "it contains no ledger of sts")),
        Err(error) => Err(damaged(path, &error.to_string())),
    }
}

/// The settings of redb.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Creates an empty store beside `path` and links it there, so a process that is killed leaves no
/// partial store. A link never replaces a store that another process has created meanwhile; a
/// rename would.
fn create(path: &Path) -> Result<(), OpenError> {
    let io = |cause| OpenError::Io { path: path.to_owned(), doing: "created", cause };
    let draft = draft_path(path);
    match fs::remove_file(&draft) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(io(cause)),
        _ => {}
    }
    create_file(&draft).map_err(io)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(io)?;
    match linked {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            // The file system has no links. Create the store in place; if this process is killed,
            // the next start refuses the partial file.
            create_file(path).map_err(io)?;
        }
        _ => {}
    }
    sync_directory(path).map_err(io)
}

/// Creates an empty store in a new file.
fn create_file(path: &Path) -> io::Result<()> {
    let backend = FileBackend::new(private_file(path)?).map_err(io::Error::other)?;
    let database = builder().create_with_backend(backend).map_err(io_error)?;
    initialise(&database).map_err(io::Error::other)
}

/// An empty store without a file.
#[cfg(any(test, feature = "in-memory"))]
pub(super) fn in_memory(path: &Path) -> Result<OpenedStore, OpenError> {
    let database =
        builder().create_with_backend(redb::backends::InMemoryBackend::new()).map_err(|error| refusal(path, error))?;
    initialise(&database).map_err(|error| damaged(path, &error.to_string()))?;
    Ok(OpenedStore { database, origin: None })
}

/// Creates the tables that readers expect, and writes the schema version.
pub(super) fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    Tables::new(&transaction).bring_up_to_date()?;
    transaction.commit()?;
    Ok(())
}

/// The schema version of the file.
pub(super) fn schema(database: &Database) -> Result<Option<u64>, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    Ok(meta.get(SCHEMA)?.map(|version| version.value()))
}

pub(super) fn refusal(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::Held { path: path.to_owned() }
        }
        DatabaseError::Storage(StorageError::Io(cause)) => match cause.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(path, &cause.to_string()),
            _ => OpenError::Io { path: path.to_owned(), doing: "opened", cause },
        },
        error => damaged(path, &error.to_string()),
    }
}

fn io_error(error: DatabaseError) -> io::Error {
    match error {
        DatabaseError::Storage(StorageError::Io(cause)) => cause,
        error => io::Error::other(error),
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), what: what.to_owned() }
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Mode 0600: subjects and claims are private.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the new name durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
