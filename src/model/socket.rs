//! Whose an engine's socket is, and what somebody needs to open it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRights {
    pub owner: u32,
    pub group: u32,
    /// The last three digits of `ls -l`, in octal.
    pub mode: u32,
}

/// What a user who is not root needs of this socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDoor {
    /// Nothing more.
    Open,
    /// To be in this group.
    Group(u32),
    /// To be its owner.
    Shut,
}

impl SocketRights {
    /// Who connects must be allowed to write. What the owner is allowed does not depend on the groups he is in.
    pub const fn door(self, user: u32) -> SocketDoor {
        const OWNER: u32 = 0o200;
        const GROUP: u32 = 0o020;
        const OTHERS: u32 = 0o002;
        if user == self.owner {
            return if self.mode & OWNER == 0 { SocketDoor::Shut } else { SocketDoor::Open };
        }
        if self.mode & OTHERS != 0 {
            SocketDoor::Open
        } else if self.mode & GROUP != 0 {
            SocketDoor::Group(self.group)
        } else {
            SocketDoor::Shut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_what_the_kernel_would_say() {
        for (owner, group, mode, user, door) in [
            (0, 999, 0o660, 1000, SocketDoor::Group(999)),
            (0, 999, 0o666, 1000, SocketDoor::Open),
            (0, 0, 0o660, 1000, SocketDoor::Group(0)),
            (0, 0, 0o600, 1000, SocketDoor::Shut),
            // As dockerd makes it, before it is given to its group.
            (0, 0, 0o000, 1000, SocketDoor::Shut),
            (1000, 1000, 0o660, 1000, SocketDoor::Open),
            (1000, 999, 0o060, 1000, SocketDoor::Shut),
            (0, 999, 0o640, 1000, SocketDoor::Shut),
        ] {
            assert_eq!(SocketRights { owner, group, mode }.door(user), door, "{owner} {group} {mode:o} {user}");
        }
    }
}
