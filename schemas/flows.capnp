@0xcb4969c521451ca6;
# Flows: long-lived streams of frames. The stream opens with the flow's number; each direction has
# one root struct.

using Words = import "words.capnp";

enum FlowKind {
  # Frames of the side that opens it, frames back.
  submit @0;
  # Device to homeserver: SubmitFrame, SubmitReply.
  sync @1;
  # Device to homeserver: SyncRequest, SyncEvent.
  relay @2;
  # Homeserver to homeserver: Federation.Batch, Federation.RelayReply.
}

struct SubmitFrame {
  # An encrypted message for a room.
  hub @0 :Text;
  # DID of the room's hub as the device knows it.
  room @1 :Data;
  # 32 bytes.
  messageId @2 :Data;
  # 16 bytes; kept when the message is encrypted again.
  epoch @3 :UInt64;
  # The MLS epoch in which it is encrypted.
  ciphertext @4 :Data;
  # MLS PrivateMessage.
}

struct SubmitReply {
  # What became of a message.
  room @0 :Data;
  # 32 bytes.
  messageId @1 :Data;
  # 16 bytes.
  outcome :union {
    stored @2 :Void;
    # On disk at the own server.
    ordered :group {
      # In the room's log.
      term @3 :UInt32;
      seq @4 :UInt64;
    }
    refused @5 :Words.Fault;
    # Not taken; nothing was stored.
  }
}

struct SyncRequest {
  union {
    open :group {
      # Begins: where the device's copies end.
      cursors @0 :List(Words.Cursor);
      # At most 10,000; rooms not named begin where the account came in.
      queueAfter @1 :UInt64;
      # The last item of the device's queue that it holds.
    }
    ack :group {
      # The device has these on disk.
      cursors @2 :List(Words.Cursor);
      queue @3 :UInt64;
    }
  }
}

struct SyncEvent {
  union {
    entries :group {
      # Entries of one room, in order, without gaps.
      room @0 :Data;
      # 32 bytes.
      hub @1 :Text;
      # DID of the room's hub.
      entries @2 :List(Data);
      # At most 256 entries in their own encoding.
    }
    queued :group {
      # An item of the device's queue.
      number @3 :UInt64;
      timeMs @4 :UInt64;
      item @5 :Data;
      # DeviceItem in its own encoding.
    }
    delivered :group {
      # Every member server has the room's log up to here.
      room @6 :Data;
      # 32 bytes.
      seq @7 :UInt64;
    }
    caughtUp @8 :Void;
    # All that was stored when the flow opened has been sent.
  }
}
