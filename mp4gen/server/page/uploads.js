// Uploads one file; resolves to the new track's ids, or rejects with an error message.
export function upload(file, token, onProgress) {
  return new Promise((resolve, reject) => {
    // fetch() does not report the progress of an upload.
    const request = new XMLHttpRequest();
    request.open("POST", `page/upload?${new URLSearchParams({ name: file.name })}`);
    request.setRequestHeader("X-Mp4gen-Token", token);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* A proxy's response. */ }
      if (request.status === 200) resolve(body);
      else reject(new Error(withFilename(file.name, body.msg ?? `HTTP status ${request.status}`)));
    });
    request.addEventListener("error", () => reject(new Error(`The upload of ${file.name} failed.`)));
    request.send(file);
  });
}

// Adds the file name unless the message contains it.
const withFilename = (name, message) => message.includes(name) ? message : `${name}: ${message}`;
