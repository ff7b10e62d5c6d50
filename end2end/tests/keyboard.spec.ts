// Tab leads through every page: to everything that can be used, in the order of the page, where it is seen, and round.

import type { Page } from "@playwright/test";
import { curl, redis } from "../attack";
import { at, follow, onDay, PAGES, settled, show } from "../pages";
import { Complaints, expect, open } from "../test";

/** So little happened that no list has a second page: that comes by scrolling, and whoever goes through a list by Tab scrolls it. */
const EVENTS = 60;

const test = onDay(EVENTS, async (host) => {
  const [store, web] = [await host.service("redis"), await host.service("http")];
  await redis(store, "PING");
  // A password that was used again.
  await redis(store, "AUTH", "operator", "once-more");
  await curl(`http://operator:once-more@${web.host}:${web.port}/`);
});

// A trace takes a picture of the page at every press of a key.
test.use({ trace: "off" });

// Each width on its own: both workers take part.
test.describe.configure({ mode: "parallel" });

/** What a page saw of the way that Tab took through it. */
interface Way {
  /** It came back to where it began. */
  round: boolean;
  faults: string[];
  /** What can be used and was not reached. */
  missing: string[];
}

declare global {
  interface Window {
    way?: { seen(): Way; end(): void };
  }
}

/** Watch, in a page, where Tab leads; gives how much there is to be reached. */
function watch(): number {
  window.way?.end();
  const modal = document.querySelector("dialog:modal");
  const drawer = document.querySelector(".drawer");

  /** What is seen of an element: what has no look of its own has its label's. */
  const face = (el: Element) => (getComputedStyle(el).opacity === "0" ? (el.closest("label") ?? el) : el);
  const isDrawn = (el: Element) => face(el).checkVisibility({ visibilityProperty: true });

  /** Of radio buttons with one name the chosen one is reached, or else the first. */
  const isChosen = (el: Element) => {
    if (!(el instanceof HTMLInputElement) || el.type !== "radio") return true;
    const all = [...document.querySelectorAll<HTMLInputElement>("input[type=radio]")];
    const group = all.filter((other) => other.name === el.name && other.form === el.form && !other.disabled);
    return el === (group.find((other) => other.checked) ?? group[0]);
  };

  // The many small links of a drawing lead to what the form of times or a row leads to as well, and are left out on purpose.
  const usable = 'a[href], button, input:not([type="hidden"]), select, textarea, summary, [tabindex="0"], [contenteditable="true"]';
  const due = [...(modal ?? document).querySelectorAll(usable)].filter(
    (el) => !(el instanceof SVGElement) && !el.matches(":disabled") && isDrawn(el) && isChosen(el),
  );

  const told = (el: Element) => {
    const words = el.getAttribute("aria-label") ?? el.getAttribute("name") ?? el.textContent ?? "";
    return `${[el.tagName.toLowerCase(), ...el.classList].join(".")} “${words.trim().slice(0, 40)}”`;
  };

  /** By what an element, or what stands for it, can show that it has the focus. */
  const ring = (el: Element) =>
    [el, el.nextElementSibling, el.closest("label")]
      .map((part) => {
        if (!part) return "";
        const { outlineStyle, outlineWidth, outlineColor, boxShadow } = getComputedStyle(part);
        const outline = outlineStyle === "none" || outlineWidth === "0px" ? "none" : `${outlineStyle} ${outlineWidth} ${outlineColor}`;
        return `${outline}, ${boxShadow}`;
      })
      .join("; ");

  /** What keeps an element from being seen where it is. */
  const hidden = (el: Element): string | undefined => {
    if (!isDrawn(el)) return "is hidden";
    const shown = face(el);
    const boxes = [...shown.getClientRects()]
      .map(({ left, top, right, bottom }) => ({
        left: Math.max(left, 0),
        top: Math.max(top, 0),
        right: Math.min(right, innerWidth),
        bottom: Math.min(bottom, innerHeight),
      }))
      .filter(({ left, top, right, bottom }) => right - left >= 1 && bottom - top >= 1);
    if (boxes.length === 0) return "is off the screen";
    const isFree = boxes.some(({ left, top, right, bottom }) =>
      [0.5, 0.1, 0.9].some((x) =>
        [0.5, 0.1, 0.9].some((y) => {
          const hit = document.elementFromPoint(left + x * (right - left), top + y * (bottom - top));
          // What an open drawer covers is seen once Esc has closed it.
          const beside = hit?.closest(".drawer") && !drawer?.contains(shown);
          return hit && (beside || shown.contains(hit) || hit.contains(shown));
        }),
      ),
    );
    return isFree ? undefined : "is covered";
  };

  const isBefore = (one: Element, other: Element) => Boolean(other.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_PRECEDING);
  const stops: Element[] = [];
  const faults: string[] = [];
  let round = false;
  let turned = false;
  /** What has the focus, and how it shows that. */
  let now: { el: Element; ring: string } | undefined;
  /** From where Tab led out of the page. */
  let out: Element | undefined;

  /** Whether Tab was pressed: from there on the focus is where it led. */
  let begun = false;

  const arrive = () => {
    const el = document.activeElement ?? document.body;
    if (!begun || round) return;
    if (el === now?.el) {
      // A field for a time takes a press for each of its parts; where there is nothing else, it is round at once.
      round = due.length === 1;
      return;
    }
    if (now?.el.isConnected && ring(now.el) === now.ring) faults.push(`${told(now.el)} does not show that it has the focus`);
    now = undefined;
    const before = stops.at(-1);
    if (el === document.body) {
      out = before;
      return;
    }
    if (out && el !== out && !isBefore(el, out)) faults.push(`behind ${told(out)} nothing has the focus, before it comes to ${told(el)}`);
    out = undefined;
    if (stops.includes(el)) {
      round = true;
      if (el !== stops[0]) faults.push(`${told(el)} comes again before ${told(stops[0])}`);
      return;
    }
    if (before && isBefore(el, before)) {
      if (turned) faults.push(`${told(el)} comes behind ${told(before)}, and stands before it`);
      turned = true;
    }
    stops.push(el);
    if (modal && !modal.contains(el)) faults.push(`${told(el)} is outside of the dialog`);
    const why = hidden(el);
    if (why) faults.push(`${told(el)} ${why}`);
    now = { el, ring: ring(el) };
  };
  // Where a press led is looked at before the next one: a focus that leaves the page is back a moment later.
  const press = (event: KeyboardEvent) => {
    if (event.key !== "Tab") return;
    arrive();
    begun = true;
  };
  window.addEventListener("keydown", press, true);
  window.way = {
    seen: () => {
      arrive();
      // What was drawn anew meanwhile is another element.
      return { round, faults, missing: due.filter((el) => el.isConnected && !stops.includes(el)).map(told) };
    },
    end: () => window.removeEventListener("keydown", press, true),
  };
  return due.length;
}

/** Press Tab until the focus has come round, or long enough. */
async function goRound(page: Page): Promise<Way> {
  const due = await page.evaluate(watch);
  for (let left = 2 * due + 60; ; left -= 10) {
    for (let press = 0; press < 10; press++) await page.keyboard.press("Tab");
    const way = await page.evaluate(() => window.way!.seen());
    if (way.round || left <= 0) return way;
  }
}

for (const [width, what] of [
  [390, "a phone"],
  [1440, "a desk"],
] as const) {
  test(`Tab comes to everything that can be used, where it is seen, and round, on ${what}`, async ({ page, day }) => {
    test.setTimeout(420_000);
    const complaints = new Complaints(page);
    await show(page, width, "dark");
    await open(page, "/no-such-page");
    for (const [name, path] of PAGES) {
      // Development's own page has a list of ten thousand rows, and nothing that the others do not have.
      if (name === "gallery") continue;
      await test.step(name, async () => {
        await follow(page, at(path, day));
        await settled(page);
        await expect(page.locator("dialog[open]:not(:modal)")).toHaveCount(0);
        expect.soft(await goRound(page), name).toEqual({ round: true, faults: [], missing: [] });
      });
    }
    complaints.none(/404/);
  });
}
