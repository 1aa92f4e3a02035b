//! A file system on which reads hang, fail or take their time, by FUSE: the kernel's side of it is real.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, Request,
    spawn_mount,
};

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is answered at once.
    Fine,
    /// It is not answered.
    Hangs,
    /// Nor is anything else: neither what files there are nor what a file is, nor is one opened.
    IsDeaf,
    /// EIO.
    Fails,
    /// It is answered after this time, any number at once.
    Takes(Duration),
    /// It is answered after this time, one after the other.
    TakesInTurn(Duration),
}

/// A mounted disk with one file; unmounted when dropped.
pub(crate) struct FaultyDisk {
    state: Arc<State>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

struct State {
    name: String,
    content: Vec<u8>,
    work: Mutex<Work>,
    spindle: Mutex<()>,
}

struct Work {
    mode: Mode,
    held: Vec<Asked>,
    reads: usize,
}

/// What the kernel asks.
enum Asked {
    Read(Read),
    Lookup(bool, ReplyEntry),
    Attributes(INodeNo, ReplyAttr),
    Open(ReplyOpen),
    List(u64, ReplyDirectory),
}

struct Read {
    offset: usize,
    size: usize,
    reply: ReplyData,
}

impl FaultyDisk {
    /// Mounts a disk with this file.
    pub(crate) fn mount(at: &Path, name: &str, content: Vec<u8>) -> io::Result<Self> {
        let state = Arc::new(State {
            name: name.to_owned(),
            content,
            work: Mutex::new(Work {
                mode: Mode::Fine,
                held: Vec::new(),
                reads: 0,
            }),
            spindle: Mutex::new(()),
        });
        let mut config = Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("faulty".to_owned())];
        let session = spawn_mount(Disk(Arc::clone(&state)), at, &config)?;
        Ok(Self {
            state,
            at: at.to_owned(),
            session: Some(session),
        })
    }

    /// From now on; reads that hang are answered unless it goes on hanging.
    pub(crate) fn set(&self, mode: Mode) {
        let held = {
            let mut work = self.state.work();
            work.mode = mode;
            if matches!(mode, Mode::Hangs | Mode::IsDeaf) {
                Vec::new()
            } else {
                std::mem::take(&mut work.held)
            }
        };
        for asked in held {
            self.state.answer_to(asked);
        }
    }

    /// What hangs.
    pub(crate) fn held(&self) -> usize {
        self.state.work().held.len()
    }

    /// Reads since the last call.
    pub(crate) fn take_reads(&self) -> usize {
        std::mem::take(&mut self.state.work().reads)
    }

    /// Pulls it out, whoever uses it.
    pub(crate) fn unmount(&mut self) {
        self.set(Mode::Fails);
        if let Some(_session) = self.session.take() {
            let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
            assert!(
                unmounted.is_ok_and(|status| status.success()),
                "unmount {}",
                self.at.display()
            );
        }
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        // A read that is never answered would outlive the test, and so would the mount.
        self.unmount();
    }
}

impl State {
    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers, unless the disk does not.
    fn handle(&self, asked: Asked) {
        let mut work = self.work();
        if work.mode == Mode::IsDeaf {
            work.held.push(asked);
        } else {
            drop(work);
            self.answer_to(asked);
        }
    }

    fn answer_to(&self, asked: Asked) {
        match asked {
            Asked::Read(read) => self.answer(read),
            Asked::Lookup(true, reply) => reply.entry(&Duration::ZERO, &self.attributes(FILE), Generation(0)),
            Asked::Lookup(false, reply) => reply.error(Errno::ENOENT),
            Asked::Attributes(ino, reply) => reply.attr(&Duration::ZERO, &self.attributes(ino)),
            // Without the page cache every read of the program is one here.
            Asked::Open(reply) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Asked::List(offset, mut reply) => {
                if offset == 0 {
                    let _is_full = reply.add(FILE, 1, FileType::RegularFile, &self.name);
                }
                reply.ok();
            }
        }
    }

    fn answer(&self, read: Read) {
        let end = (read.offset + read.size).min(self.content.len());
        read.reply.data(self.content.get(read.offset..end).unwrap_or_default());
    }

    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let is_root = ino == INodeNo::ROOT;
        let size = if is_root { 0 } else { self.content.len() as u64 };
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_root {
                FileType::Directory
            } else {
                FileType::RegularFile
            },
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

struct Disk(Arc<State>);

const FILE: INodeNo = INodeNo(2);

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.0.handle(Asked::Lookup(name == self.0.name.as_str(), reply));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.0.handle(Asked::Attributes(ino, reply));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.0.handle(Asked::Open(reply));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = Read {
            offset: usize::try_from(offset).unwrap(),
            size: size as usize,
            reply,
        };
        let state = &self.0;
        let mode = {
            let mut work = state.work();
            work.reads += 1;
            work.mode
        };
        match mode {
            Mode::Fine => state.answer(read),
            Mode::Hangs | Mode::IsDeaf => state.work().held.push(Asked::Read(read)),
            Mode::Fails => read.reply.error(Errno::EIO),
            Mode::Takes(time) | Mode::TakesInTurn(time) => {
                let state = Arc::clone(state);
                thread::spawn(move || {
                    let turn = (mode == Mode::TakesInTurn(time))
                        .then(|| state.spindle.lock().unwrap_or_else(PoisonError::into_inner));
                    thread::sleep(time);
                    drop(turn);
                    state.answer(read);
                });
            }
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.0.handle(Asked::List(offset, reply));
    }
}
