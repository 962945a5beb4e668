// Sends one file to the server; shows nothing.

// Resolves to the new track's ids, or fails with a sentence.
export function send(file, token, onProgress) {
  return new Promise((done, failed) => {
    // fetch() tells no progress of what it sends.
    const request = new XMLHttpRequest();
    request.open("POST", `/page/upload?${new URLSearchParams({ name: file.name })}`);
    request.setRequestHeader("X-Mp4gen-Token", token);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* Something between us and the server. */ }
      if (request.status === 200) done(body);
      else failed(new Error(withFilename(file.name, body.msg ?? `HTTP status ${request.status}`)));
    });
    request.addEventListener("error", () => failed(new Error(`${file.name} did not arrive.`)));
    request.send(file);
  });
}

// Which of several files it was, where that is not said already.
const withFilename = (name, message) => message.startsWith(name) ? message : `${name}: ${message}`;
