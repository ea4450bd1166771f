@0x8977e320d9c212b7;
# Words that every other file uses.
#
# How Entente uses Cap'n Proto
# - A frame holds one message in the standard segment framing, unpacked. Each method and each
#   direction of a flow has one root struct.
# - Signed and stored objects travel as Data in their own encoding (TLS presentation language), as
#   Cap'n Proto is not canonical: the bytes received are the bytes verified.
# - Fixed-size values (ids, hashes, keys) are Data of exactly that size. DIDs of servers are Text in
#   their one canonical form; DIDs of accounts are the 32 bytes of their Ed25519 key. Times are
#   milliseconds since 1970. Readers refuse any other length or form, unknown enum values and unknown
#   union members.
# - What may be absent is a union with a Void member. A pointer field that is not set reads as empty.
# - Fields and members are only ever added, at the end.

struct Fault {
  # Why a call or a message was refused.
  code @0 :UInt16;
  # A number of the protocol's list of codes; stable.
  detail @1 :Text;
  # A sentence for the person who meets it; at most 1,024 bytes, nothing secret.
  retry :union {
    unsaid @2 :Void;
    afterMs @3 :UInt32;
    # When to try again, from now.
  }
}

struct Head {
  # The end of a room's log, or the place of one entry in it.
  term @0 :UInt32;
  seq @1 :UInt64;
  hash @2 :Data;
  # 32 bytes: hash of the entry's header.
}

struct Cursor {
  # How far somebody has a room's log.
  room @0 :Data;
  # 32 bytes.
  seq @1 :UInt64;
}
