-- +goose Up
-- Which tokens of an account are accepted. The previous version of the program neither reads nor changes these columns:
-- its tokens name no epoch, which is that of new accounts.
ALTER TABLE users
    ADD COLUMN token_epoch integer NOT NULL DEFAULT 0, -- of the accepted tokens; a new one ends all sessions
    ADD COLUMN ended_tokens jsonb; -- ids of tokens ended one by one, and when they expire; null: none
