BEGIN TRANSACTION;
CREATE TABLE metadata (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "metadata" VALUES('render_speed',20.0);
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id UNIQUE NOT NULL, account, music_task_id, audio_id, render_variant, author, domain_name, callback_url, base_url, aspect_ratio, audio_mode, filename, estimated_duration, state, callback, created_at, started_at, completed_at, error_code, error_message, duration, size
);
INSERT INTO "tasks" VALUES(1,'00000000000000000000000000000001','','album','one','','An Author','music.example','https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video1AAAAAAAAAAAAAAAAAA.mp4',1.0,'done','none',1800000001.0,1800000010.0,1800000020.0,NULL,NULL,1.0,1234);
INSERT INTO "tasks" VALUES(2,'00000000000000000000000000000002','','album','bad','',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video2AAAAAAAAAAAAAAAAAA.mp4',1.0,'failed','none',1800000002.0,NULL,1800000030.0,400,'The audio cannot be read: bad.mp3. Use another file.',NULL,NULL);
INSERT INTO "tasks" VALUES(3,'00000000000000000000000000000003','','album','two','','An Author',NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video3AAAAAAAAAAAAAAAAAA.mp4',1.0,'rendering','none',1800000003.0,1800000040.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(4,'00000000000000000000000000000004','','album','two','page-0123456789abcdef',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787','9:16','compatible','video4AAAAAAAAAAAAAAAAAA.mp4',1.0,'queued','none',1800000004.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(5,'00000000000000000000000000000005','anna','.','loose','',NULL,NULL,'https://mp4gen.invalid/none','http://127.0.0.1:8787',NULL,'compatible','video5AAAAAAAAAAAAAAAAAA.mp4',1.0,'queued','due',1800000005.0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE UNIQUE INDEX one_video ON tasks (account, music_task_id, audio_id, render_variant)
    WHERE state != 'failed';
CREATE INDEX by_state ON tasks (state, completed_at);
CREATE INDEX by_callback ON tasks (seq) WHERE callback = 'due';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tasks',5);
COMMIT;
PRAGMA user_version = 1;
