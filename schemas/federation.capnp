@0x8318abf02ea4b31c;
# What homeservers say to each other: calls of the side that dialled, and the relay flow.

using Calls = import "calls.capnp";
using Words = import "words.capnp";

enum PeerMethod {
  # Request, reply. The numbers are apart from those of Calls.ClientMethod.
  hello @0;
  # Hello, Hello. The first call on every connection.
  groupInfo @1;
  # Vouched(Calls.GroupInfoRequest), Calls.GroupInfo.
  treeChunk @2;
  # Vouched(Calls.TreeChunkRequest), Calls.TreeChunk.
  claimKeyPackage @3;
  # Vouched(Calls.ClaimKeyPackage), Calls.ClaimedKeyPackage.
  commit @4;
  # Vouched(Calls.CommitRequest), Calls.Ordered.
  propose @5;
  # Vouched(Calls.Proposal), Calls.Ordered.
  pull @6;
  # Pull, Entries.
  heads @7;
  # Heads, HeadsReply.
}

struct Hello {
  statement @0 :Data;
  # Signed Hello, or in the reply signed HelloReply.
}

struct Vouched(Request) {
  # A request of a device, for whose identity the calling server vouches.
  account @0 :Data;
  # 32 bytes; at home on the calling server.
  device @1 :Data;
  # 16 bytes.
  request @2 :Request;
}

struct Pull {
  # Asks for entries of a room's log.
  room @0 :Data;
  # 32 bytes.
  after @1 :Words.Head;
  # The end of the log as the asker has it.
  until @2 :UInt64;
  # Not beyond this position.
}

struct Entries {
  entries @0 :List(Data);
  # At most 256 entries in their own encoding.
}

struct Heads {
  # The newest signed heads of rooms that both sides hold.
  heads @0 :List(Data);
  # At most 256 ShownHeads in their own encoding.
}

struct HeadsReply {
  heads @0 :List(Data);
  # At most 256 ShownHeads in their own encoding.
  proofs @1 :List(Data);
  # At most 8 Equivocations in their own encoding.
}

struct Batch {
  head @0 :Data;
  # Signed BatchHead.
  items @1 :List(Data);
  # 1 to 512 items in their own encoding, as hashed and stored.
}

struct RelayReply {
  union {
    ack :group {
      # The receiver owns everything up to here.
      streamEpoch @0 :UInt64;
      upTo @1 :UInt64;
    }
    futureCursor :group {
      # The receiver owns later items than the sender has ever sent.
      streamEpoch @2 :UInt64;
      lastIn @3 :UInt64;
    }
    busy :group {
      # Nothing of the last batch is owned.
      retryAfterMs @4 :UInt32;
    }
  }
}
