BEGIN TRANSACTION;
CREATE TABLE metadata (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "metadata" VALUES('render_speed',20.0);
CREATE TABLE removed_videos (filename PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        task_id UNIQUE NOT NULL, account, music_task_id, audio_id, render_variant, author,
        domain_name, callback_url, base_url, aspect_ratio, audio_mode, filename,
        estimated_duration, state, callback, created_at, started_at, completed_at, error_code,
        error_message, duration, size
    , fingerprint, attempts NOT NULL DEFAULT 0, troubles NOT NULL DEFAULT 0, lease_until, not_before, last_trouble, warnings NOT NULL DEFAULT '[]', options NOT NULL DEFAULT '{}');
INSERT INTO "tasks" VALUES(1,'00000000000000000000000000000001','','album','one','','An Author','music.example','https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video1AAAAAAAAAAAAAAAAAA.mp4',1.0,'done','none',1800000001.0,1800000010.0,1800000020.0,NULL,NULL,1.0,1234,'00000000000000000000000000000000.11111111111111111111111111111111',0,0,NULL,NULL,NULL,'["The cover is small."]','{}');
INSERT INTO "tasks" VALUES(2,'00000000000000000000000000000002','','album','bad','',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video2AAAAAAAAAAAAAAAAAA.mp4',1.0,'failed','none',1800000002.0,NULL,1800000030.0,400,'The audio cannot be read: bad.mp3. Use another file.',NULL,NULL,'22222222222222222222222222222222.33333333333333333333333333333333',0,0,NULL,NULL,NULL,'[]','{}');
INSERT INTO "tasks" VALUES(3,'00000000000000000000000000000003','','album','two','',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video3AAAAAAAAAAAAAAAAAA.mp4',1.0,'rendering','none',1800000003.0,1800000040.0,NULL,NULL,NULL,NULL,NULL,'44444444444444444444444444444444.55555555555555555555555555555555',1,0,1800003700.0,NULL,NULL,'[]','{}');
INSERT INTO "tasks" VALUES(4,'00000000000000000000000000000004','','album','two','page-0123456789abcdef',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787','9:16','compatible','video4AAAAAAAAAAAAAAAAAA.mp4',1.0,'queued','none',1800000004.0,NULL,NULL,NULL,NULL,NULL,NULL,'66666666666666666666666666666666.77777777777777777777777777777777',0,2,NULL,1800000100.0,'The disk is full.','[]','{"look": "wave", "start": 12.5}');
INSERT INTO "tasks" VALUES(5,'00000000000000000000000000000005','anna','.','loose','',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'copy','video5AAAAAAAAAAAAAAAAAA.mp4',1.0,'queued','due',1800000005.0,NULL,NULL,NULL,NULL,NULL,NULL,'88888888888888888888888888888888.99999999999999999999999999999999',0,0,NULL,NULL,NULL,'[]','{}');
CREATE INDEX by_callback ON tasks (seq) WHERE callback = 'due';
CREATE UNIQUE INDEX one_video ON tasks
        (account, music_task_id, audio_id, render_variant, fingerprint)
        WHERE state != 'failed';
CREATE INDEX unfinished ON tasks (seq) WHERE state IN ('queued', 'rendering');
CREATE INDEX finished ON tasks (completed_at) WHERE state IN ('done', 'failed');
CREATE INDEX by_account ON tasks (account);
CREATE INDEX by_account_and_state ON tasks (account, state);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tasks',5);
COMMIT;
PRAGMA user_version = 3;
PRAGMA application_id = 1836070003;
