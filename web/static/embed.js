(function (settings) {
  // <onsale-shop event="slug"></onsale-shop>: the shop in any page. What it needs to know of the
  // server is put behind this file where it is served.

  const NAME = "onsale-shop";
  // After a frame has loaded, so long until it counts as refused, in milliseconds.
  const LATE_MS = 4000;
  const STYLE = `
    :host { display: inline-block; }
    :host([hidden]) { display: none; }
    :host([inline]) { display: block; height: min(54rem, 92vh); }
    .open { display: inline-flex; align-items: center; justify-content: center; box-sizing: border-box; min-height: 3rem; padding: .6rem 1.6rem; border: 0; border-radius: 99rem; background: var(--onsale-accent, #b5341b); color: var(--onsale-on-accent, #fffdfa); font: inherit; font-weight: 700; text-decoration: none; cursor: pointer; }
    .open:hover { filter: brightness(.92); }
    :focus-visible { outline: 3px solid var(--onsale-accent, #b5341b); outline-offset: 2px; }
    dialog { box-sizing: border-box; width: 100vw; height: 100vh; height: 100dvh; max-width: none; max-height: none; margin: 0; padding: 0; border: 0; background: Canvas; color: CanvasText; overscroll-behavior: contain; }
    dialog[open] { display: flex; flex-direction: column; }
    dialog::backdrop { background: rgb(20 14 10 / .6); }
    .bar { flex: none; display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding-left: 1rem; border-bottom: 1px solid rgb(128 118 108 / .4); font: 600 1rem/1.3 system-ui, sans-serif; }
    .bar span { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .close { flex: none; width: 3rem; height: 3rem; padding: 0; border: 0; background: none; color: inherit; font-size: 1.5rem; line-height: 1; cursor: pointer; }
    iframe { display: block; box-sizing: border-box; flex: 1; width: 100%; height: 100%; min-height: 0; border: 0; background: Canvas; }
    .away { display: grid; flex: 1; gap: 1rem; place-content: center; justify-items: center; padding: 2rem; text-align: center; font: 1rem/1.5 system-ui, sans-serif; }
    @media (min-width: 48rem) and (min-height: 30rem) {
      dialog { width: min(76rem, 94vw); height: min(56rem, 92vh); margin: auto; border-radius: 1rem; box-shadow: 0 1.5rem 5rem rgb(0 0 0 / .4); overflow: hidden; }
    }
  `;

  if (customElements.get(NAME)) return;
  const shop = new URL(document.currentScript?.src || settings.shop).origin;
  const framed = settings.hosts.includes(location.origin);
  const style = new CSSStyleSheet();
  style.replaceSync(STYLE);

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  class OnsaleShop extends HTMLElement {
    #frame = null;
    #dialog = null;
    #title = null;
    #ready = false;
    #late = 0;
    #told = new Set();
    #listen = (message) => this.#hear(message);

    connectedCallback() {
      if (!this.getAttribute("event")) return;
      if (framed) addEventListener("message", this.#listen);
      if (this.shadowRoot) return;
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [style];
      if (!framed) this.shadowRoot.append(this.#link());
      else if (this.hasAttribute("inline")) this.#begin(this.shadowRoot);
      else this.shadowRoot.append(this.#button(), this.#makeDialog());
    }

    disconnectedCallback() {
      removeEventListener("message", this.#listen);
      clearTimeout(this.#late);
    }

    // Opens the shop as its button does. Only for buttons of your own: `inline` has none.
    open() {
      if (!this.#dialog) return;
      if (!this.#frame) this.#begin(this.#dialog);
      if (this.#dialog.open) return;
      this.#dialog.showModal();
      // The page behind stays where it is.
      const root = document.documentElement;
      const before = root.style.overflow;
      root.style.overflow = "hidden";
      this.#dialog.addEventListener("close", () => {
        root.style.overflow = before;
        this.#say("close");
      }, { once: true });
      this.#say("open");
    }

    close() {
      this.#dialog?.close();
    }

    get #language() {
      const tag = this.getAttribute("lang") || this.closest("[lang]")?.lang || navigator.language;
      return tag || "en";
    }

    #word(key) {
      const known = settings.words[this.#language.split("-")[0].toLowerCase()] ?? settings.words.en;
      return known[`embed.${key}`];
    }

    #say(what, detail = null) {
      this.dispatchEvent(new CustomEvent(`onsale-${what}`, { detail, bubbles: true, composed: true }));
    }

    // The page's own words for the button go before ours.
    #label() {
      return make("slot", { textContent: this.#word("open") });
    }

    #button() {
      const button = make("button", { type: "button", className: "open" }, this.#label());
      button.setAttribute("part", "button");
      button.setAttribute("aria-haspopup", "dialog");
      button.addEventListener("click", () => this.open());
      return button;
    }

    // The shop in a tab of its own.
    #link(text = this.#label()) {
      const event = encodeURIComponent(this.getAttribute("event"));
      const href = `${shop}/events/${event}?lang=${encodeURIComponent(this.#language)}`;
      const link = make("a", { href, className: "open", target: "_blank", rel: "noopener" }, text);
      link.setAttribute("part", "button");
      link.title = this.#word("new_tab");
      return link;
    }

    #makeDialog() {
      this.#title = make("span", { id: "title", textContent: this.#word("title") });
      const close = make("button", { type: "button", className: "close", textContent: "×" });
      close.setAttribute("aria-label", this.#word("close"));
      close.addEventListener("click", () => this.close());
      this.#dialog = make("dialog", {}, make("div", { className: "bar" }, this.#title, close));
      this.#dialog.setAttribute("part", "dialog");
      this.#dialog.setAttribute("aria-labelledby", "title");
      return this.#dialog;
    }

    #begin(place) {
      const event = encodeURIComponent(this.getAttribute("event"));
      const query = new URLSearchParams({ host: location.origin, lang: this.#language });
      this.#frame = make("iframe", { title: this.#word("title") });
      this.#frame.setAttribute("part", "frame");
      this.#frame.src = `${shop}/embed/${event}?${query}`;
      // A page that is refused the frame loads too, but says nothing.
      this.#frame.addEventListener("load", () => {
        if (!this.#ready) this.#late = setTimeout(() => this.#refused(), LATE_MS);
      });
      place.append(this.#frame);
    }

    #refused() {
      if (this.#ready) return;
      const away = make("div", { className: "away" }, make("p", { textContent: this.#word("elsewhere") }),
        this.#link(this.#word("new_tab")));
      this.#frame.replaceWith(away);
    }

    #hear({ source, origin, data }) {
      if (!this.#frame || source !== this.#frame.contentWindow || origin !== shop) return;
      if (data?.onsale === "ready") {
        this.#ready = true;
        if (this.#title && data.title) this.#title.textContent = data.title;
      } else if (data?.onsale === "close") {
        this.close();
      } else if (data?.onsale === "bought" && !this.#told.has(data.order)) {
        this.#told.add(data.order);
        const { event, order, tickets, total, currency } = data;
        this.#say("bought", { event, order, tickets, total, currency });
      }
    }
  }

  customElements.define(NAME, OnsaleShop);
})
