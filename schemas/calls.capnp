@0xbc20f1cec8feb833;
# Calls of a device to its homeserver. The stream opens with the method's number; the request is one
# message with the root named here, and so is the reply. A refusal is a Words.Fault instead.

using Words = import "words.capnp";

enum ClientMethod {
  # Request, reply.
  register @0;
  # Register, Done. Allowed before login.
  login @1;
  # Login, LoggedIn.
  publishKeyPackages @2;
  # PublishKeyPackages, KeyPackageCount.
  createRoom @3;
  # CreateRoom, Ordered.
  groupInfo @4;
  # HubCall(GroupInfoRequest), GroupInfo.
  treeChunk @5;
  # HubCall(TreeChunkRequest), TreeChunk.
  claimKeyPackage @6;
  # HubCall(ClaimKeyPackage), ClaimedKeyPackage.
  commit @7;
  # HubCall(CommitRequest), Ordered.
  propose @8;
  # HubCall(Proposal), Ordered.
  invite @9;
  # SealedInvite, Done.
  status @10;
  # StatusRequest, ServerStatus.
}

struct Done {
  # It is done and on disk.
}

struct Register {
  # Opens an account.
  claim @0 :Data;
  # AccountClaim in its own encoding.
  token :union {
    none @1 :Void;
    some @2 :Text;
    # At most 256 bytes.
  }
}

struct Login {
  proof @0 :Data;
  # Signed LoginProof.
}

struct LoggedIn {
  serverTimeMs @0 :UInt64;
  keyPackages @1 :UInt32;
  # Unclaimed ones of this device.
}

struct PublishKeyPackages {
  packages @0 :List(Data);
  # At most 100 MLS KeyPackages. One that is marked as last resort replaces the one before it.
}

struct KeyPackageCount {
  unclaimed @0 :UInt32;
}

struct CreateRoom {
  record @0 :Data;
  # Signed CreateRecord; its hash is the room's id.
  messageId @1 :Data;
  # 16 bytes.
  groupInfo @2 :Data;
  # MLS GroupInfo without the tree.
  tree @3 :Data;
  # MLS ratchet tree.
}

struct HubCall(Request) {
  # A request that the homeserver passes on to the hub of the room.
  hub @0 :Text;
  # DID of the hub.
  request @1 :Request;
}

struct RoomAccess {
  # Why somebody may see a room's GroupInfo.
  union {
    member @0 :Void;
    ticket @1 :Data;
    # Signed Ticket.
  }
}

struct GroupInfoRequest {
  room @0 :Data;
  # 32 bytes.
  access @1 :RoomAccess;
}

struct GroupInfo {
  groupInfo @0 :Data;
  # MLS GroupInfo without the tree.
  tree @1 :TreeRef;
  pending @2 :List(Data);
  # At most 1,024 MLS proposals of this epoch, which a commit has to cover.
  head @3 :Words.Head;
}

struct TreeRef {
  epoch @0 :UInt64;
  hash @1 :Data;
  # 32 bytes: SHA-256 of the tree.
  size @2 :UInt32;
  # Bytes of the tree.
  bytes :union {
    elsewhere @3 :Void;
    # To be fetched in chunks.
    inline @4 :Data;
  }
}

struct TreeChunkRequest {
  room @0 :Data;
  # 32 bytes.
  access @1 :RoomAccess;
  epoch @2 :UInt64;
  hash @3 :Data;
  # 32 bytes: SHA-256 of the whole tree.
  offset @4 :UInt32;
  # Where the chunk begins, in bytes.
}

struct TreeChunk {
  bytes @0 :Data;
}

struct ClaimKeyPackage {
  room @0 :Data;
  # 32 bytes.
  account @1 :Data;
  # 32 bytes: whom to add.
  home @2 :Text;
  # DID of that account's homeserver.
  suite @3 :UInt16;
  # MLS code point of the room's cipher suite.
}

struct ClaimedKeyPackage {
  keyPackage @0 :Data;
  reference @1 :Data;
  # 1 to 64 bytes: its KeyPackageRef.
}

struct CommitRequest {
  room @0 :Data;
  # 32 bytes.
  messageId @1 :Data;
  # 16 bytes.
  bundle @2 :CommitBundle;
}

struct CommitBundle {
  # A commit and all that belongs to it.
  commit @0 :Data;
  # MLS PublicMessage.
  welcome :union {
    none @1 :Void;
    some @2 :Data;
    # MLS Welcome.
  }
  groupInfo @3 :Data;
  # MLS GroupInfo of the epoch that the commit begins, without the tree.
}

struct Proposal {
  room @0 :Data;
  # 32 bytes.
  messageId @1 :Data;
  # 16 bytes.
  proposal @2 :Data;
  # MLS PublicMessage.
}

struct Ordered {
  # Where something stands in a room's log.
  at @0 :Words.Head;
  sender @1 :UInt32;
  # The sender's leaf.
  timeMs @2 :UInt64;
}

struct SealedInvite {
  account @0 :Data;
  # 32 bytes: whom it is for.
  home @1 :Text;
  # DID of the invitee's homeserver.
  messageId @2 :Data;
  # 16 bytes.
  sealed @3 :List(SealedToDevice);
  # At most 64.
}

struct SealedToDevice {
  device @0 :Data;
  # 16 bytes.
  payload @1 :Data;
}

struct StatusRequest {
}

struct ServerStatus {
  server @0 :Text;
  # DID.
  version @1 :Text;
  # At most 64 bytes.
  timeMs @2 :UInt64;
  startedMs @3 :UInt64;
  waiting @4 :UInt32;
  # The asker's messages that are stored and not yet ordered.
  peers @5 :List(PeerStatus);
  # At most 4,096.
}

struct PeerStatus {
  server @0 :Text;
  # DID.
  owed @1 :UInt64;
  # Items owed to it.
  reach :union {
    connected @2 :Void;
    idle @3 :Void;
    unreachableSinceMs @4 :UInt64;
  }
}
