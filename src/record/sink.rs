//! Where chunks come from: a file that others can read, or sealed memory that keeps the newest events.
//!
//! **Architecture Invariant:** memory that a hook writes to is backed before it is handed out, so that a full
//! disk is an answer here and never a SIGBUS in the host.

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::IntoRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_trace::layout::CHUNK_HEADER_SIZE;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::live_name;
use zerocopy::FromBytes;

use crate::sys;
use crate::tally;

/// Chunks of events that sealed memory keeps: 64 MiB.
pub const MEMORY_EVENT_CHUNKS: u32 = 1024;
/// Chunks of stacks and names that sealed memory takes: 64 MiB more.
pub const MEMORY_DATA_CHUNKS: u32 = 1024;

/// How often an interrupted call is begun again: signals are blocked meanwhile, so even one is odd.
const MOST_INTERRUPTIONS: u32 = 16;

/// The backing of a trace.
#[derive(Debug)]
pub enum Sink {
    /// A file that grows.
    File(FileSink),
    /// Memory of a fixed size, mapped as a whole.
    Memory(MemorySink),
    /// Nothing: what is recorded is lost, and counted.
    Nowhere,
}

/// A trace file.
#[derive(Debug)]
pub struct FileSink {
    fd: i32,
    device: u64,
    inode: u64,
    /// The name that it has when it is whole.
    path: PathBuf,
    /// Where it is while it is written, and then, for the kernel: where it is wanted again, there may be no memory left.
    places: [CString; 2],
    next_chunk: AtomicU32,
    /// The end of the furthest chunk that is backed.
    made: AtomicU32,
}

/// Sealed memory. No descriptor is kept: it cannot be closed under us.
#[derive(Debug)]
pub struct MemorySink {
    chunks: NonNull<u8>,
    next_chunk: AtomicU32,
}

// SAFETY: the mapping is shared by handing out disjoint chunks, numbered by an atomic.
unsafe impl Send for MemorySink {}
// SAFETY: as above.
unsafe impl Sync for MemorySink {}

fn map_shared(fd: i32, offset: u64, len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            fd,
            offset as libc::off_t,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(io::Error::last_os_error)
}

fn allocate(fd: i32, offset: u64, len: usize) -> io::Result<()> {
    if !sys::may_grow_to(offset + len as u64) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let mut interruptions = 0;
    loop {
        // SAFETY: posix_fallocate works on the descriptor alone.
        match unsafe { libc::posix_fallocate(fd, offset as i64, len as i64) } {
            0 => return Ok(()),
            libc::EINTR if interruptions < MOST_INTERRUPTIONS => interruptions += 1,
            // A sandbox that does not know the call, or file systems that do not; where the C library knows that they do not,
            // it does the same.
            libc::ENOSYS | libc::EPERM | libc::EOPNOTSUPP | libc::EINVAL => {
                return write_zeros(fd, offset, len);
            }
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Backs a part of the file that nobody uses yet.
fn write_zeros(fd: i32, offset: u64, len: usize) -> io::Result<()> {
    static ZEROS: [u8; CHUNK_SIZE] = [0; CHUNK_SIZE];
    // SAFETY: the descriptor is open during the call; ManuallyDrop leaves it open afterwards.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    for start in (0..len).step_by(CHUNK_SIZE) {
        let part = &ZEROS[..CHUNK_SIZE.min(len - start)];
        file.write_all_at(part, offset + start as u64)?;
    }
    Ok(())
}

fn identity(fd: i32) -> io::Result<(u64, u64)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the place is large enough for the answer.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstat has succeeded and filled it.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.st_dev, stat.st_ino))
}

fn open(path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a C string.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o600) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a file of which there is none yet.
fn create(path: &Path) -> io::Result<OwnedFd> {
    open(&terminated(path)?, libc::O_CREAT | libc::O_EXCL).map(move_up)
}

/// Makes the file that is to be at `path` where it is while it is written: the file, that place, and its path then.
fn create_while_written(
    path: &Path,
    pid: u32,
    session: u64,
) -> io::Result<(OwnedFd, PathBuf, PathBuf)> {
    live_name::first_free(path, pid, |name| {
        if name.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let written = live_name::while_written(name, session);
        Ok((create(&written)?, written, name.to_path_buf()))
    })
}

fn terminated(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_encoded_bytes())?)
}

/// A memory file of a size that nobody can change.
fn sealed_file(len: usize) -> io::Result<OwnedFd> {
    if !sys::may_grow_to(len as u64) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"whofreed".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // SAFETY: the descriptor has just been made and is nobody else's; ftruncate and fcntl work on it alone.
    unsafe {
        let file = OwnedFd::from_raw_fd(fd);
        if libc::ftruncate(fd, len as libc::off_t) == 0
            && libc::fcntl(fd, libc::F_ADD_SEALS, seals) == 0
        {
            return Ok(file);
        }
    }
    Err(io::Error::last_os_error())
}

fn copy_file(fd: i32, with_events: bool) -> io::Result<Vec<u8>> {
    // SAFETY: the descriptor is open during the call; ManuallyDrop leaves it open afterwards.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    // The header first: it must not tell of more chunks than are copied.
    let mut bytes = vec![0; HEADER_SIZE];
    file.read_exact_at(&mut bytes, 0)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    bytes.resize(len.max(HEADER_SIZE), 0);
    let mut at = HEADER_SIZE;
    while at < bytes.len() {
        let start = at..bytes.len().min(at + CHUNK_HEADER_SIZE);
        file.read_exact_at(&mut bytes[start.clone()], at as u64)?;
        let header = ChunkHeader::read_from_prefix(&bytes[start.clone()]);
        let (kind, span) = header.map_or((0, 0), |(header, _)| (header.kind, header.span));
        let end = bytes.len().min(at + usize::from(span.max(1)) * CHUNK_SIZE);
        if with_events || kind == chunk_kind::DATA {
            file.read_exact_at(&mut bytes[at..end], at as u64)?;
        } else {
            bytes[start].fill(0);
        }
        at = end;
    }
    Ok(bytes)
}

/// Copies memory that others may be writing to. A chunk's commit word comes before its content, and is read first:
/// what it covers is whole.
fn copy_words(start: NonNull<u8>, len: usize) -> Vec<u8> {
    let start = start.cast::<AtomicU64>();
    let words = (0..len / size_of::<AtomicU64>()).map(|number| {
        // SAFETY: the caller says that `len` bytes are mapped there, aligned to a page.
        unsafe { start.add(number).as_ref() }.load(Ordering::Acquire)
    });
    words.flat_map(u64::to_ne_bytes).collect()
}

/// Moves a descriptor out of the range that shells and daemons use as they like.
fn move_up(fd: OwnedFd) -> OwnedFd {
    const OUT_OF_THE_WAY: i32 = 200;
    // SAFETY: fcntl works on the descriptor alone.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) };
    if moved < 0 {
        return fd;
    }
    // SAFETY: the descriptor has just been made and is nobody else's.
    unsafe { OwnedFd::from_raw_fd(moved) }
}

impl Sink {
    /// Makes a new file at `path`, with the pid in its name where the path is taken, and maps its header. Where there is a
    /// launcher to give it that name at the end of its `session`, it has another one until then.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create_file(
        path: &Path,
        pid: u32,
        session: Option<u64>,
    ) -> io::Result<(Self, NonNull<FileHeader>)> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let written = session.and_then(|session| create_while_written(&path, pid, session).ok());
        let (fd, written, path) = match written {
            Some(made) => made,
            None => live_name::first_free(&path, pid, |name| {
                Ok((create(name)?, name.to_path_buf(), name.to_path_buf()))
            })?,
        };
        let made = allocate(fd.as_raw_fd(), 0, HEADER_SIZE)
            .and_then(|()| map_shared(fd.as_raw_fd(), 0, HEADER_SIZE))
            .and_then(|header| Ok((header, identity(fd.as_raw_fd())?)));
        let (header, (device, inode)) = match made {
            Ok(made) => made,
            Err(error) => {
                // An empty file would only look like a broken trace.
                drop(std::fs::remove_file(&written));
                return Err(error);
            }
        };
        let sink = FileSink {
            fd: fd.into_raw_fd(),
            device,
            inode,
            places: [terminated(&written)?, terminated(&path)?],
            path,
            next_chunk: AtomicU32::new(0),
            made: AtomicU32::new(0),
        };
        Ok((Self::File(sink), header.cast()))
    }

    /// Makes memory for the newest events, and maps its header: a sealed memory file, or plain shared memory where
    /// the host may not have a file of that size.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn create_memory() -> io::Result<(Self, NonNull<FileHeader>)> {
        let chunks = (MEMORY_EVENT_CHUNKS + MEMORY_DATA_CHUNKS) as usize;
        let len = HEADER_SIZE + chunks * CHUNK_SIZE;
        let file = sealed_file(len).ok();
        let backing = if file.is_some() {
            0
        } else {
            libc::MAP_ANONYMOUS
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory. It is not
        // populated: a host that has few events shall pay for few.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE | backing,
                file.as_ref().map_or(-1, AsRawFd::as_raw_fd),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let header = NonNull::new(memory.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the mapping is longer than the header.
        let chunks = unsafe { header.add(HEADER_SIZE) };
        let sink = MemorySink {
            chunks,
            next_chunk: AtomicU32::new(0),
        };
        Ok((Self::Memory(sink), header.cast()))
    }

    /// `count` fresh chunks in a row, zeroed and backed; `None` when there are no more to be had.
    ///
    /// # Errors
    /// Those of the file system; for memory, that all chunks are in use.
    pub fn grow(&self, count: u32) -> io::Result<NonNull<u8>> {
        match self {
            Self::File(file) => file.grow(count),
            Self::Memory(memory) => memory.grow(count),
            Self::Nowhere => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// How many chunks have been made.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        match self {
            Self::File(file) => file.made.load(Ordering::Relaxed),
            Self::Memory(memory) => memory.used().1 as u32,
            Self::Nowhere => 0,
        }
    }

    /// The path of a trace file once it is whole.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(&file.path),
            Self::Memory(_) | Self::Nowhere => None,
        }
    }

    /// The descriptor of a trace file, as long as the host leaves it alone.
    #[must_use]
    pub fn descriptor(&self) -> Option<i32> {
        match self {
            Self::File(file) => Some(file.fd),
            Self::Memory(_) | Self::Nowhere => None,
        }
    }

    /// Gives a file its own name where the launcher, which was to do so, has ended meanwhile.
    pub fn settle(&self, pid: u32) {
        let Self::File(file) = self else {
            return;
        };
        if file.places[0] != file.places[1] && !tally::names_traces() {
            let written = Path::new(OsStr::from_bytes(file.places[0].as_bytes()));
            // Without a right to do so it is left as it is: a trace all the same.
            let _ = live_name::settle(written, pid, live_name::rename_in_two_steps);
        }
    }

    /// Removes a file that lost the race to be the process's trace.
    pub fn discard(&self) {
        if let Self::File(file) = self {
            // SAFETY: unlink reads the string alone.
            unsafe { libc::unlink(file.places[0].as_ptr()) };
            // SAFETY: the descriptor is this sink's own.
            unsafe { libc::close(file.fd) };
        }
    }

    /// The bytes of the trace as they are now. Without events, chunks of them are left out as zeros.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn copy(
        &self,
        header: Option<NonNull<FileHeader>>,
        with_events: bool,
    ) -> io::Result<Vec<u8>> {
        let Some(header) = header else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match self {
            Self::Nowhere => Err(io::ErrorKind::NotFound.into()),
            Self::File(file) => file.with_descriptor(|fd| copy_file(fd, with_events)),
            Self::Memory(memory) => {
                // The header first: it must not tell of more chunks than are copied.
                let mut bytes = copy_words(header.cast(), HEADER_SIZE);
                let (chunks, used) = memory.used();
                for number in 0..used {
                    // SAFETY: `used` chunks have been handed out, all of them inside the mapping.
                    let chunk = unsafe { chunks.add(number * CHUNK_SIZE) };
                    bytes.extend(copy_words(chunk, CHUNK_SIZE));
                }
                Ok(bytes)
            }
        }
    }

    /// Puts everything that was written so far on the disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sync(&self) -> io::Result<()> {
        let Self::File(file) = self else {
            return Ok(());
        };
        file.with_descriptor(|fd| {
            // SAFETY: fsync works on the descriptor alone.
            match unsafe { libc::fsync(fd) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }
}

impl FileSink {
    fn grow(&self, count: u32) -> io::Result<NonNull<u8>> {
        let first = self.next_chunk.fetch_add(count, Ordering::Relaxed);
        let end = first + count;
        let offset = HEADER_SIZE as u64 + u64::from(first) * CHUNK_SIZE as u64;
        let len = count as usize * CHUNK_SIZE;
        let made = self.with_descriptor(|fd| {
            allocate(fd, offset, len)?;
            map_shared(fd, offset, len)
        });
        if made.is_ok() {
            self.made.fetch_max(end, Ordering::Relaxed);
        } else {
            // What a full disk refuses again and again is to leave no hole behind which the file goes on. Where another
            // thread has taken chunks since, there is one.
            let order = Ordering::Relaxed;
            let _ = self.next_chunk.compare_exchange(end, first, order, order);
        }
        made
    }

    /// Hosts close descriptors that they do not know, and others get their number: before ours is used it is
    /// looked at, and opened anew when it is not ours any more.
    fn with_descriptor<T>(&self, action: impl FnOnce(i32) -> io::Result<T>) -> io::Result<T> {
        let is_ours = |fd| identity(fd).is_ok_and(|identity| identity == (self.device, self.inode));
        if is_ours(self.fd) {
            return action(self.fd);
        }
        let [written, whole] = &self.places;
        let fd = open(written, 0).or_else(|_| open(whole, 0))?;
        if !is_ours(fd.as_raw_fd()) {
            // Another file has its name.
            return Err(io::Error::from_raw_os_error(libc::ESTALE));
        }
        action(fd.as_raw_fd())
    }
}

impl MemorySink {
    fn grow(&self, count: u32) -> io::Result<NonNull<u8>> {
        let limit = MEMORY_EVENT_CHUNKS + MEMORY_DATA_CHUNKS;
        let first = self.next_chunk.fetch_add(count, Ordering::Relaxed);
        if first.saturating_add(count) > limit {
            self.next_chunk.store(limit, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        // SAFETY: the chunk lies inside the mapping, which has `limit` chunks.
        Ok(unsafe { self.chunks.add(first as usize * CHUNK_SIZE) })
    }

    /// Where the chunks begin, and how many have been handed out.
    #[must_use]
    pub fn used(&self) -> (NonNull<u8>, usize) {
        let limit = MEMORY_EVENT_CHUNKS + MEMORY_DATA_CHUNKS;
        let used = self.next_chunk.load(Ordering::Relaxed).min(limit);
        (self.chunks, used as usize)
    }
}
