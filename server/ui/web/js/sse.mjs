// Reads a stream of server-sent events as the HTML standard describes it:
// lines end in CR, LF or CRLF, may be cut anywhere, fields are joined until an
// empty line. Pure text in, events out; knows nothing about the network.

export class EventParser {
  #onEvent;
  #buffer = "";
  #data = [];
  #event = "";
  #afterCR = false;
  #first = true;

  /** @param {(event: {event: string, data: string}) => void} onEvent */
  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  /** Takes the next piece of decoded text. */
  push(text) {
    if (this.#first && text !== "") {
      this.#first = false;
      if (text[0] === "\uFEFF") text = text.slice(1);
    }
    let start = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== 10 && code !== 13) {
        this.#afterCR = false;
        continue;
      }
      if (code === 10 && this.#afterCR) {
        this.#afterCR = false;
        start = i + 1;
        continue;
      }
      this.#afterCR = code === 13;
      const line = this.#buffer + text.slice(start, i);
      this.#buffer = "";
      start = i + 1;
      this.#line(line);
    }
    this.#buffer += text.slice(start);
  }

  /** Ends the stream. Servers that forget the last empty line are forgiven. */
  end() {
    if (this.#buffer !== "") this.#line(this.#buffer);
    this.#buffer = "";
    this.#line("");
  }

  #line(line) {
    if (line === "") {
      if (this.#data.length > 0) {
        this.#onEvent({ event: this.#event || "message", data: this.#data.join("\n") });
      }
      this.#data = [];
      this.#event = "";
      return;
    }
    if (line[0] === ":") return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
  }
}
