// Shows the messages of the conversation that is open. One view per message;
// views live as long as their message is on the shown path, so nothing that a
// reader has unfolded or selected is lost when something else changes.

import { h, icon, iconButton, copyText, byId } from "./dom.mjs";
import { t } from "./language.mjs";
import { MarkdownView } from "./markdown/view.mjs";
import { canContinue, pathOf, versionsOf } from "./conversation.mjs";
import { jsonView } from "./jsonview.mjs";
import { figures, probabilities } from "./numbers.mjs";
import { ToolsView } from "./toolview.mjs";
import { describe, formatBytes, formatDuration, formatNumber, formatSpeed } from "./words.mjs";

const NEAR_END = 60; // px
const PART = 20; // messages in an element of their own, which costs nothing while it is far away
const AWAKE = 20; // messages at the end that are drawn at once; the others when their part comes near
const NEAR = "1500px 0px";
const SHARE = 6; // ms of a frame for drawing what has come near

export class Thread {
  #actions;
  #views = new Map();
  #scroller = byId("thread");
  #root = byId("messages");
  #jump = byId("jump");
  #follow = true; // keep the end in sight
  #lastTop = 0;
  #dirty = new Set();
  #frame = 0;
  #notBefore = 0;
  #conversation = null;
  #sleepers = new Map(); // views by their elements
  #waking = []; // views that have come near and are not drawn yet
  #near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      this.#near.unobserve(target);
      if (this.#waking.length === 0) requestAnimationFrame(() => this.#wake());
      this.#waking.push(...[...target.children].map((element) => this.#sleepers.get(element)).filter(Boolean));
    }
  }, { root: byId("thread"), rootMargin: NEAR });

  /**
   * @param actions {retry, regenerate, continue, answerTools, edit, remove, show, leaveOut, askKey, openSettings, newChat, runOf}
   *   what the buttons do; runOf(message) is the run that writes it, if any
   */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => {
      this.toEnd(true);
      byId("input").focus({ preventScroll: true });
    });
    new ResizeObserver(() => {
      if (this.#follow) this.#stay();
      else this.#showJump();
    }).observe(this.#scroller);
  }

  /** Shows a conversation, keeping the views that it shares with what was shown. */
  show(conversation) {
    const other = conversation !== this.#conversation;
    this.#conversation = conversation;
    const path = pathOf(conversation);
    const kept = new Map();
    const versions = versionsOf(conversation);
    this.#root.querySelector(".left-out")?.remove();
    path.forEach((message, i) => {
      let view = this.#views.get(message.id);
      if (!view || view.message !== message) {
        view?.element.remove();
        view = message.role === "user" ? new UserView(message, this.#actions) : new AssistantView(message, this.#actions);
        if (i < path.length - AWAKE) {
          view.asleep = true;
          this.#sleepers.set(view.element, view);
        }
      }
      kept.set(message.id, view);
      const part = this.#root.children[Math.floor(i / PART)] ?? this.#root.appendChild(h("div", { class: "part" }));
      const before = part.children[i % PART];
      if (before !== view.element) part.insertBefore(view.element, before ?? null);
      view.update({ versions: versions(message), last: i === path.length - 1 });
    });
    for (const [id, view] of this.#views) if (!kept.has(id)) view.element.remove();
    this.#views = kept;
    for (const part of [...this.#root.children]) if (!part.firstChild) part.remove();
    for (const element of this.#sleepers.keys()) if (!element.isConnected) this.#sleepers.delete(element);
    this.#near.disconnect();
    for (const part of new Set([...this.#sleepers.keys()].map((element) => element.parentElement))) this.#near.observe(part);
    this.#markStart(conversation, path);
    if (other) this.toEnd(false);
    else if (this.#follow) this.#stay();
  }

  /** Has a message drawn again soon; at once if it is finished. */
  changed(message, now = false) {
    if (!this.#views.has(message.id)) return;
    this.#dirty.add(message);
    if (now) this.#draw();
    else this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Scrolls to the end and stays there while more arrives. */
  toEnd(smooth) {
    this.#follow = true;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#scroller.scrollTo({ top: this.#scroller.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
    this.#showJump();
  }

  /** Opens the editor of the last message of the user. False if there is none. */
  editLast() {
    const view = [...this.#views.values()].findLast((candidate) => candidate instanceof UserView);
    view?.edit();
    return view !== undefined;
  }

  /** Puts the focus on the version buttons of a message that has just been chosen by them. */
  focusVersions(message) {
    this.#views.get(message.id)?.bar.querySelector(".versions .icon-button:not(:disabled)")?.focus({ preventScroll: true });
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const begun = performance.now();
    const unfinished = [...this.#dirty].every((message) => this.#actions.runOf(message));
    if (unfinished && begun < this.#notBefore) {
      this.#frame = requestAnimationFrame(() => this.#draw());
      return;
    }
    for (const message of this.#dirty) this.#views.get(message.id)?.update({});
    this.#dirty.clear();
    if (this.#follow) this.#stay();
    else this.#showJump();
    // Drawing takes at most a third of the time, however long the answer.
    this.#notBefore = performance.now() + 2 * (performance.now() - begun);
  }

  /** Draws what has come near, as much as a frame has time for. */
  #wake() {
    const end = performance.now() + SHARE;
    while (this.#waking.length > 0 && performance.now() < end) {
      const view = this.#waking.shift();
      if (this.#sleepers.delete(view.element)) view.wake();
    }
    if (this.#waking.length > 0) requestAnimationFrame(() => this.#wake());
  }

  #stay() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#showJump();
  }

  #scrolled() {
    const { scrollTop } = this.#scroller;
    if (this.#distance() < NEAR_END) this.#follow = true;
    else if (scrollTop < this.#lastTop - 2) this.#follow = false;
    this.#lastTop = scrollTop;
    this.#showJump();
  }

  #distance() {
    return this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight;
  }

  #showJump() {
    this.#jump.hidden = this.#follow || this.#distance() < NEAR_END;
  }

  /** A line above the first message that the model still gets to see. */
  #markStart(conversation, path) {
    const start = path.findIndex((message) => message.id === conversation.from);
    if (start <= 0) return;
    const line = h("p", { class: "left-out" }, h("span", null, t("Messages above are no longer sent")), " ");
    const undo = h("button", { type: "button", class: "link" }, t("Send them again"));
    undo.addEventListener("click", () => this.#actions.sendAll());
    line.append(undo);
    this.#views.get(path[start].id).element.before(line);
  }
}

class MessageView {
  constructor(message, actions, kind, name) {
    this.message = message;
    this.actions = actions;
    this.versions = [message];
    this.asleep = false; // only its text is there, until it comes near
    this.element = h("article", { class: `message ${kind}`, "aria-label": name });
    this.bar = h("div", { class: "bar" });
  }

  /** Takes over what has changed. True if there is nothing to draw yet. */
  update({ versions, last }) {
    if (versions) this.versions = versions;
    if (last !== undefined) this.element.classList.toggle("last", last);
    this.element.classList.toggle("asleep", this.asleep);
    return this.asleep;
  }

  wake() {
    this.asleep = false;
    this.update({});
  }

  /** Renews the bar without taking the focus away from the button that has it. */
  fillBar(...parts) {
    const label = this.bar.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    this.bar.replaceChildren(...parts);
    if (label) this.bar.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus({ preventScroll: true });
  }

  /** ‹ 2/3 ›, if there is more than one version. */
  versionButtons() {
    const count = this.versions.length;
    if (count < 2) return [];
    const at = this.versions.indexOf(this.message);
    const to = (i) => () => this.actions.show(this.versions[i]);
    const before = iconButton("left", t("Earlier version"), to(at - 1));
    const after = iconButton("right", t("Later version"), to(at + 1));
    before.disabled = at === 0;
    after.disabled = at === count - 1;
    return [h("span", { class: "versions", role: "group", "aria-label": t("Versions") }, before,
      h("span", { class: "count", "aria-label": t`Version ${at + 1} of ${count}` }, `${at + 1}/${count}`), after)];
  }

  copyButton() {
    const button = iconButton("copy", t("Copy message"), () => copyText(this.message.content, button));
    return button;
  }

  removeButton() {
    return iconButton("trash", t("Delete from here on"), () => this.actions.remove(this.message));
  }
}

class UserView extends MessageView {
  #draft = null;
  #editor = null;

  constructor(message, actions) {
    super(message, actions, "user", t("You"));
    this.bubble = h("div", { class: "bubble", dir: "auto" }, message.content);
    this.element.append(h("h2", { class: "sr-only" }, t("You")), ...(message.files ?? []).map(fileCard), this.bubble, this.bar);
  }

  update(change) {
    if (super.update(change)) return;
    this.fillBar(
      ...this.versionButtons(),
      this.copyButton(),
      iconButton("edit", t("Edit and send again"), () => this.edit()),
      this.removeButton(),
    );
  }

  edit() {
    if (this.#editor) {
      this.#editor.querySelector("textarea").focus();
      return;
    }
    const area = h("textarea", { "aria-label": t("Edit your message"), rows: "1", dir: "auto" });
    area.value = this.#draft ?? this.message.content;
    const cancel = h("button", { type: "button", class: "button" }, t("Cancel"));
    const send = h("button", { type: "submit", class: "button primary" }, t("Send"));
    const form = h("form", { class: "editor" }, area, h("div", { class: "editor-foot" }, cancel, send));
    const grow = () => {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    };
    const close = () => {
      form.replaceWith(this.bubble);
      this.bar.hidden = false;
      this.#editor = null;
    };
    area.addEventListener("input", () => {
      this.#draft = area.value; // opening the editor again brings it back
      grow();
    });
    area.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        close();
        byId("input").focus();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    cancel.addEventListener("click", () => {
      this.#draft = null;
      close();
      byId("input").focus();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = area.value.trim();
      if (text === "" && !this.message.files) return;
      this.#draft = null;
      close();
      this.actions.edit(this.message, text);
    });
    this.#editor = form;
    this.bubble.replaceWith(form);
    this.bar.hidden = true;
    grow();
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

class AssistantView extends MessageView {
  #shownContent = null;
  #shownOpen = null;
  #ticker = 0;
  #reasoning = null;

  constructor(message, actions) {
    super(message, actions, "assistant", t("Answer"));
    this.before = h("div", { class: "thoughts" });
    this.content = h("div", { class: "content" });
    this.markdown = new MarkdownView(this.content);
    this.tools = new ToolsView((tools) => actions.answerTools(message, tools));
    this.state = h("div", { class: "state" });
    this.numbers = h("div", { class: "numbers", hidden: true });
    this.element.append(h("h2", { class: "sr-only" }, t("Answer")), this.before, this.content, this.tools.element, this.state, this.bar, this.numbers);
  }

  update(change) {
    const { message } = this;
    if (super.update(change)) {
      if (!this.content.firstChild) this.content.textContent = message.content; // to be found in the page
      return;
    }
    if (this.#shownContent === null) this.content.replaceChildren();
    const run = this.actions.runOf(message);
    this.element.setAttribute("aria-busy", run ? "true" : "false");
    this.element.classList.toggle("writing", Boolean(run) && message.content !== "");
    this.#updateReasoning(Boolean(run));
    const open = Boolean(run);
    if (message.content !== this.#shownContent || open !== this.#shownOpen) {
      if (message.format === "json") this.#drawJson(open);
      else this.markdown.update(message.content, open);
      this.#shownContent = message.content;
      this.#shownOpen = open;
    }
    this.tools.update(message, Boolean(run), this.element.classList.contains("last"));
    this.#updateState(run);
    this.bar.hidden = Boolean(run);
    if (run) this.numbers.hidden = true; // they will be others
    if (!run) this.#updateBar();
  }

  /** JSON is text until it is complete. */
  #drawJson(open) {
    const { content } = this.message;
    if (content === "") this.content.replaceChildren();
    else this.content.replaceChildren((open ? null : jsonView(content)) ?? h("pre", { class: "json-text", tabindex: "0", role: "region", "aria-label": "JSON" }, content));
  }

  /** Shows the figures of the answer, or hides them. */
  #toggleNumbers() {
    const { message } = this;
    const shown = this.numbers.hidden;
    this.numbers.hidden = !shown;
    this.numbers.replaceChildren(...(shown ? [figures(message), ...(message.logprobs?.length > 0 ? [probabilities(message.logprobs)] : [])] : []));
    this.bar.querySelector(".stats")?.setAttribute("aria-expanded", String(shown));
  }

  #updateReasoning(running) {
    const { message } = this;
    if (!message.reasoning) {
      this.#reasoning?.element.remove();
      this.#reasoning = null;
      return;
    }
    if (!this.#reasoning) {
      const label = h("span");
      const body = h("div", { class: "thought" });
      const element = h("details", null, h("summary", null, icon("thought"), label, icon("down")), body);
      this.#reasoning = { element, label, body, view: new MarkdownView(body), shown: "" };
      this.before.append(element);
      // What is folded away is not drawn until somebody looks.
      element.addEventListener("toggle", () => this.#drawReasoning());
    }
    const thinking = running && message.content === "";
    const time = message.reasoningMs >= 1000 ? t`Thought for ${formatDuration(message.reasoningMs)}` : t("Thoughts");
    const tokens = message.reasoningTokens > 0 ? t` · ${formatNumber(message.reasoningTokens)} tokens` : "";
    this.#reasoning.label.textContent = (thinking ? t("Thinking…") : time) + tokens;
    this.#drawReasoning();
  }

  #drawReasoning() {
    const part = this.#reasoning;
    if (!part?.element.open || part.shown === this.message.reasoning) return;
    part.view.update(this.message.reasoning, true);
    part.shown = this.message.reasoning;
  }

  /** What the answer is waiting for, or how it ended. */
  #updateState(run) {
    const { message } = this;
    clearInterval(this.#ticker);
    if (run?.wait) {
      this.#showWait(run);
    } else if (run) {
      const waiting = message.content === "" && !message.reasoning && !message.tools?.length;
      if (!waiting) this.state.replaceChildren();
      else if (!this.state.querySelector(".dots")) this.#showDots(run);
      else this.#tick(run);
    } else if (message.status === "error") {
      this.state.replaceChildren(this.#errorCard());
    } else {
      const note = endNote(message);
      this.state.replaceChildren(...(note ? [h("p", { class: "note" }, note)] : []));
    }
  }

  #showDots(run) {
    const time = h("span", { class: "elapsed" });
    this.state.replaceChildren(h("p", { class: "dots", role: "img", "aria-label": t("The model is reading") }, h("i"), h("i"), h("i"), time));
    this.#tick(run);
  }

  /** Long prompts take long to read: after a while say how long it has been. */
  #tick(run) {
    const time = this.state.querySelector(".elapsed");
    const show = () => {
      const elapsed = performance.now() - run.since;
      if (run.loading !== null) time.textContent = t`loading the model, ${Math.floor(run.loading * 100)} %`;
      else if (elapsed <= 3000) time.textContent = "";
      else time.textContent = run.read === null ? t`reading, ${formatDuration(elapsed)}` : t`reading, ${Math.floor(run.read * 100)} % in ${formatDuration(elapsed)}`;
    };
    show();
    this.#ticker = setInterval(show, 1000);
  }

  #showWait(run) {
    const { wait } = run;
    const text = h("span");
    const show = () => {
      const left = Math.max(0, Math.ceil((wait.until - performance.now()) / 1000));
      text.textContent = wait.kind === "busy" ? t`The server is busy. Trying again in ${left} s.` : t`The model is loading. Trying again in ${left} s.`;
    };
    const now = h("button", { type: "button", class: "button" }, t("Try now"));
    now.addEventListener("click", () => run.tryNow());
    show();
    this.state.replaceChildren(h("div", { class: "card waiting", role: "status", "data-kind": wait.kind }, h("span", { class: "spinner" }), text, now));
    this.#ticker = setInterval(show, 500);
  }

  #errorCard() {
    const { error } = this.message;
    const words = describe(error);
    const buttons = h("div", { class: "card-foot" });
    const add = (label, action, primary) => {
      const button = h("button", { type: "button", class: primary ? "button primary" : "button" }, label);
      button.addEventListener("click", action);
      buttons.append(button);
    };
    if (error.kind === "context") {
      if (this.actions.canLeaveOut(this.message)) add(t("Leave out older messages"), () => this.actions.leaveOut(this.message), true);
      add(t("New chat"), () => this.actions.newChat());
    } else if (error.kind === "auth") {
      add(t("Enter a key"), () => this.actions.askKey(this.message), true);
    } else {
      if (canContinue(this.message)) add(t("Continue"), () => this.actions.continue(this.message), true);
      add(t("Try again"), () => this.actions.retry(this.message), !canContinue(this.message));
      if (error.kind === "request") add(t("Settings"), () => this.actions.openSettings());
    }
    return h("div", { class: "card error", role: "alert", "data-kind": error.kind }, icon("alert"),
      h("div", null, h("strong", null, words.title), h("p", null, words.text), buttons));
  }

  #updateBar() {
    const { message } = this;
    const parts = [...this.versionButtons()];
    if (message.content) parts.push(this.copyButton());
    if (this.element.classList.contains("last") && canContinue(message)) parts.push(iconButton("play", t("Continue the answer"), () => this.actions.continue(message)));
    parts.push(iconButton("again", t("Answer again"), () => this.actions.regenerate(message)), this.removeButton());
    const { stats } = message;
    if (stats?.completion) {
      const speed = stats.speed ? ` · ${formatSpeed(stats.speed)}` : "";
      const button = h("button", { type: "button", class: "stats", "aria-expanded": String(!this.numbers.hidden), title: t("Times and probabilities") }, t`${formatNumber(stats.completion)} tokens${speed}`);
      button.addEventListener("click", () => this.#toggleNumbers());
      parts.push(button);
    }
    this.fillBar(...parts);
  }
}

function fileCard({ name, text, tokens }) {
  const size = tokens === null ? formatBytes(text.length) : t`${formatNumber(tokens)} tokens`;
  const body = h("pre", { tabindex: "0", role: "region", "aria-label": name });
  const card = h("details", { class: "file" }, h("summary", null, icon("file"), h("span", { class: "file-name" }, name), h("span", { class: "file-size" }, size), icon("down")), body);
  card.addEventListener("toggle", () => {
    body.textContent = card.open ? text : ""; // a long text costs only while it is looked at
  });
  return card;
}

function endNote(message) {
  if (message.status === "stopped") return t("Stopped");
  if (message.finish === "length") return t("The answer ends here because it reached its longest length.");
  if (message.finish === "content_filter") return t("The server withheld the rest of the answer.");
  if (message.content.trim() === "" && !message.tools?.length) return t("The model answered nothing.");
  return null;
}
