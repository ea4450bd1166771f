-- Who claimed a KeyPackage, and who handed over an invitation: a server that did neither is not believed, and
-- none takes the room of others.

ALTER TABLE key_package ADD COLUMN claimed_by TEXT COLLATE "C";

ALTER TABLE queue ADD COLUMN invited_by TEXT COLLATE "C";
CREATE INDEX queue_by_inviter ON queue (account, device, invited_by);
