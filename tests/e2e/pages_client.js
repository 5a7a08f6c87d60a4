"use strict";
// Clicks through every admin page of a running privet, as a person with a keyboard would, and runs axe-core on each.
// Arguments: the address with its token (`http://…/login#token=…`), and a folder for pictures or nothing.
// Prints one JSON object: the pages seen, axe's serious findings, console errors, requests that left the origin.

const path = require("node:path");

const modules = process.env.PAGES_MODULES;
const { chromium } = require(path.join(modules, "playwright-core"));
const axe = require.resolve(path.join(modules, "axe-core", "axe.min.js"));

const [address, pictures] = process.argv.slice(2);
const origin = new URL(address).origin;

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  const found = { pages: {}, axe: [], errors: [], strangers: [], steps: [], times_ms: {} };
  // bypassCSP lets axe be injected beside a policy that allows no foreign script. It leaves the header as it is,
  // and a second context without it shows that the pages themselves never run into it.
  for (const scheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme: scheme, bypassCSP: true, viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    watch(page, found);
    await page.goto(address);
    await page.waitForURL(/\/(flow)?$|\/flow/);
    for (const [name, visit] of PAGES) {
      await visit(page, found);
      await page.addScriptTag({ path: axe });
      const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const v of result.violations) {
        if (["serious", "critical"].includes(v.impact)) {
          found.axe.push(`${name} ${scheme}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message || "")).join(" | ")}`);
        }
      }
      found.pages[name] = await page.title();
      if (pictures) {
        await page.screenshot({ path: path.join(pictures, `${name}-${scheme}.png`) });
        if (scheme === "light") {
          await page.setViewportSize({ width: 390, height: 844 });
          await page.screenshot({ path: path.join(pictures, `${name}-narrow.png`) });
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
          if (overflow) found.errors.push(`${name}: the page itself scrolls sideways when narrow`);
          await page.setViewportSize({ width: 1280, height: 900 });
        }
      } else if (scheme === "light") {
        await page.setViewportSize({ width: 390, height: 844 });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
        if (overflow) found.errors.push(`${name}: the page itself scrolls sideways when narrow`);
        await page.setViewportSize({ width: 1280, height: 900 });
      }
    }
    await context.close();
  }
  await strictly(browser, found);
  await browser.close();
  console.log(JSON.stringify(found));
}

function watch(page, found) {
  page.on("console", (m) => m.type() === "error" && found.errors.push(m.text()));
  page.on("pageerror", (e) => found.errors.push(String(e)));
  page.on("request", (r) => {
    if (new URL(r.url()).origin !== origin) found.strangers.push(r.url());
  });
}

const go = (at, check) => async (page, found) => {
  const response = await page.goto(origin + at);
  if (response.status() !== 200) found.errors.push(`${at}: ${response.status()}`);
  found.times_ms[at] = await page.evaluate(() => performance.getEntriesByType("navigation")[0].responseEnd);
  await check?.(page, found);
};
const step = (found, name, good) => (good ? found.steps.push(name) : found.errors.push(`failed: ${name}`));

const PAGES = [
  ["flow", go("/flow", async (page, found) => {
    await page.getByRole("link", { name: "24 hours" }).click();
    step(found, "flow draws bands", (await page.locator("svg .band").count()) > 4);
    step(found, "flow names what stands out", (await page.locator("svg .s-pii").count()) > 0);
    const link = await page.locator(".flow svg a").first().getAttribute("href");
    step(found, "a band leads to its requests", link.startsWith("/audit?caller="));
  })],
  ["policy", go("/policy", async (page, found) => {
    const cell = page.locator("[data-cell]").first();
    await cell.focus();
    step(found, "a focused cell tells its rules", await cell.locator(".rules").isVisible());
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    const focused = page.locator("[data-cell]:focus");
    step(found, "arrow keys move through the matrix", (await focused.count()) === 1 && (await cell.getAttribute("tabindex")) === "-1");
    await page.getByLabel("Field or class").fill("pii.email");
    await page.getByRole("button", { name: "Show" }).click();
    const classes = await page.locator("td.class").allTextContents();
    step(found, "the matrix is searched", classes.length > 0 && classes.every((c) => c.startsWith("pii.email")));
    const shown = await page.locator(".rules").first().textContent();
    step(found, "rules have file and line", /rules\/[a-z]+\.csv:\d+/.test(shown));
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Save as CSV" }).click();
    step(found, "the matrix is saved as CSV", /^privet-policy-[0-9a-f]+\.csv$/.test((await download).suggestedFilename()));
  })],
  ["role", go("/policy?role=bi&purpose=analytics")],
  ["diff", go("/policy/diff")],
  ["audit", go("/audit", async (page, found) => {
    const newest = async () => Number(await page.locator("table.audit tbody tr td").first().textContent());
    const before = await newest();
    await page.waitForFunction((n) => Number(document.querySelector("table.audit tbody td").textContent) > n, before);
    step(found, "the tail is live", (await newest()) > before);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on (" }).waitFor();
    step(found, "the tail can be paused", true);
    await page.getByLabel("How it ended").fill("refused");
    await page.getByRole("button", { name: "Filter" }).click();
    const ends = await page.locator("table.audit tbody tr td:nth-child(5)").allTextContents();
    step(found, "records are filtered", ends.length > 0 && ends.every((e) => e.startsWith("refused")));
    await page.goto(origin + "/audit?treatment=tokenize:email");
  })],
  ["why", go("/audit?treatment=tokenize:email", async (page, found) => {
    await page.locator("td.request a").first().click();
    await page.waitForURL(/\/why\?request=/);
    const why = page.locator("details summary").first();
    await why.click();
    step(found, "a field is explained", /decided by|no row/.test(await page.locator("details pre").first().textContent()));
  })],
  ["try", go("/try", async (page, found) => {
    await page.locator("select[name=object]").selectOption("Contact");
    await page.getByRole("button", { name: "Fill in a sample" }).click();
    await page.waitForLoadState();
    const sample = JSON.parse(await page.locator("textarea").inputValue());
    step(found, "a sample is invented", sample.attributes.type === "Contact" && sample.Email.includes("@"));
    await page.locator("select[name=client]").selectOption("tableau");
    await page.locator("select[name=region]").selectOption("eu");
    for (const role of await page.locator("input[name=role]").all()) await role.uncheck();
    await page.getByLabel("bi", { exact: true }).check();
    await page.locator("textarea").fill('{"Id":"003000000000001AAA","Email":"canary-7f3a@leak.test","Birthdate":"1987-05-23"}');
    await page.getByRole("button", { name: "Try it", exact: true }).click();
    const after = JSON.parse(await page.locator("section pre").first().textContent());
    step(found, "a record is treated", /^tk1\..*@token\.invalid$/.test(after.Email));
    step(found, "the reasons are told", (await page.locator("details summary").count()) >= 3);
  })],
  ["runtime", go("/runtime", async (page, found) => {
    await page.getByRole("button", { name: "Reload policy and keys" }).click();
    await page.getByRole("status").waitFor();
    step(found, "an operator reloads", /Loaded/.test(await page.getByRole("status").textContent()));
    const text = await page.locator("main").textContent();
    step(found, "secrets are hidden", text.includes("(hidden)") && !text.includes("demo-service-token"));
    await page.goto(origin + "/audit?ending=admin-reload");
    step(found, "the reload is recorded", (await page.locator("table.audit tbody tr").count()) > 0);
    await page.goto(origin + "/runtime");
  })],
];

// Without axe and with the pages' own policy in force: nothing may run into it. Then out, and in by the form.
async function strictly(browser, found) {
  const context = await browser.newContext();
  const page = await context.newPage();
  watch(page, found);
  await page.goto(address);
  await page.waitForURL(/\/flow/);
  step(found, "the token is not left in the address", !page.url().includes("token"));
  for (const at of ["/flow", "/policy", "/audit", "/try", "/runtime", "/why"]) await page.goto(origin + at);
  const cookies = await context.cookies();
  step(found, "the cookie is strict", cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/\/login/);
  await page.goto(origin + "/audit?kind=all");
  step(found, "signed out is out", page.url().includes("/login?next="));
  await page.getByLabel("Admin token").fill(new URL(address).hash.slice("#token=".length));
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/audit\?kind=all/);
  step(found, "signing in leads back", true);
  await context.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
