-- Contacts whom an earlier try may have reached, and who are to be sent to once more all the same (on_unknown: resend).
-- Whatever becomes of that, nobody may say of them that nothing reached them.

alter table cohorts add column doubt boolean not null default false;

-- The places in the window of those who are to be tried again in such doubt.
alter table windows add column doubt integer[];
