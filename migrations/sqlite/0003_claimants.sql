-- Who claimed a KeyPackage, and who handed over an invitation: a server that did neither is not believed, and
-- none takes the room of others.

-- What was given out before cannot be answered any more: by whom it was claimed is not known.
DELETE FROM key_package WHERE claimed IS NOT NULL AND last_resort = 0;
UPDATE key_package SET claimed = NULL;
ALTER TABLE key_package ADD COLUMN claimed_by TEXT;

ALTER TABLE queue ADD COLUMN invited_by TEXT;
CREATE INDEX queue_by_inviter ON queue (account, device, invited_by) WHERE invited_by IS NOT NULL;
