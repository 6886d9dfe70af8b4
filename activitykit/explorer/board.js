// @ts-check
// The board: draws what `state.py` says, and sends what people do as numbered events.
// Every text from data is set as text, never as markup. No framework, no build step, no network.

/** @import {About, Brief, Details, Facet, State, Table, Time} from "./state.d.ts" */
/** @import {Board, Draw, Model, Send, Timer, Tip, View} from "./state.d.ts" */

const SVG = "http://www.w3.org/2000/svg";
const DEBOUNCE_MS = 150;
const WIDE = new Set(["createdAt", "outcome", "duration_s"]);
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/** @param {number[]} numbers */
const sum = (numbers) => numbers.reduce((sofar, one) => sofar + one, 0);
const count = new Intl.NumberFormat("en-US").format;
/** @param {number} part @param {number} whole */
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

// elements

/** Make an element: attributes by name, handlers as functions, children as elements or text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]} */
function h(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name, /** @type {any} */ (value));
		else put(element, name, value);
	}
	element.append(...children);
	return element;
}

/** @param {Record<string, unknown>} [attributes] @param {...(Node | string)} children */
const button = (attributes, ...children) => h("button", { type: "button", ...attributes }, ...children);

/** @param {string} [text] */
const soft = (text = "") => h("span", { class: "ak-soft" }, text);

/** Set an attribute if that changes anything; null and false take it off.
 * @param {Element} element @param {string} name @param {unknown} value */
function put(element, name, value) {
	if (value === null || value === undefined || value === false) element.removeAttribute(name);
	else {
		const text = value === true ? "" : String(value);
		if (element.getAttribute(name) !== text) element.setAttribute(name, text);
	}
}

/** Set the text of an element if that changes anything.
 * @param {Element} element @param {string} text */
function say(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** Make a list hold one child per item, keeping the children that are there, and the focus.
 * @template T
 * @param {Element} parent @param {T[]} items @param {() => HTMLElement} make
 * @param {(child: any, item: T, place: number) => void} dress */
function fill(parent, items, make, dress) {
	while (parent.children.length > items.length) parent.lastElementChild?.remove();
	items.forEach((item, place) => {
		const child = parent.children[place] ?? parent.appendChild(make());
		dress(child, item, place);
	});
}

/** @param {string} shape @param {Record<string, unknown>} attributes */
function drawn(shape, attributes) {
	const element = document.createElementNS(SVG, shape);
	for (const [name, value] of Object.entries(attributes)) put(element, name, value);
	return element;
}

/** Draw bars as one path, in units of bars across and thousandths of the height down.
 * @param {number[]} heights @param {number[]} bases @param {string} fill */
function bars(heights, bases, fill) {
	const steps = heights.map((height, i) => {
		const foot = 1000 - (bases[i] || 0);
		return height > 0 ? `M${i + 0.08} ${foot}v${-Math.max(height, 5)}h.84V${foot}z` : "";
	});
	return drawn("path", { d: steps.join(""), fill });
}

/** @param {number} width @param {string} label */
function canvas(width, label) {
	return drawn("svg", {
		viewBox: `0 0 ${width} 1000`, preserveAspectRatio: "none", role: "img", "aria-label": label,
	});
}

/** Give a round number, at least as great, that halves into a number easy to read.
 * @param {number} value */
function roundUp(value) {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
	const steps = [1, 1.2, 1.6, 2, 2.4, 3, 4, 6, 8, 10, 20].map((step) => Math.round(step * power));
	return steps.find((step) => step >= Math.max(value, 2) && step % 2 === 0) ?? 2;
}

/** A sign and a word for each outcome, never a colour alone.
 * @param {{mark: string, colour: string}} one */
function sign(one) {
	const pale = one.mark === "!" || one.mark === "◷";
	const style = `background:${one.colour}`;
	return h("span", { class: `ak-mark${pale ? " pale" : ""}`, style, "aria-hidden": "true" }, one.mark);
}

/** @param {string} title @param {...(Node | string)} beside */
function panel(title, ...beside) {
	const head = h("div", { class: "ak-head" }, h("h3", {}, title), ...beside);
	return h("section", { class: "ak-panel", "aria-label": title }, head);
}

/** @param {[string, string][]} choices */
const options = (choices) => choices.map(([value, text]) => h("option", { value }, text));

/** @param {string} label @param {[string, string][]} choices @param {(value: string) => void} chosen */
function select(label, choices, chosen) {
	const made = h("select", { "aria-label": label, change: () => chosen(made.value) });
	made.append(...options(choices));
	return made;
}

/** Let the arrow keys move the focus among children, of which one is a stop of the tab key.
 * @param {HTMLElement} parent @param {string} which @param {number} across */
function roving(parent, which, across) {
	const all = () => /** @type {HTMLElement[]} */ ([...parent.querySelectorAll(which)]);
	parent.addEventListener("focusin", (event) => {
		for (const one of all()) one.tabIndex = one === event.target ? 0 : -1;
	});
	parent.addEventListener("keydown", (event) => {
		const here = all();
		const at = here.indexOf(/** @type {HTMLElement} */ (event.target));
		/** @type {Record<string, number>} */
		const steps = { ArrowDown: across, ArrowUp: -across, Home: -at, End: here.length - 1 - at };
		if (across > 1) Object.assign(steps, { ArrowRight: 1, ArrowLeft: -1 });
		const to = at < 0 ? undefined : here[at + (steps[event.key] ?? NaN)];
		if (to) {
			to.focus();
			event.preventDefault();
		}
	});
}

/** Keep one stop of the tab key in a list whose children may have gone.
 * @param {HTMLElement} parent @param {string} which */
function oneStop(parent, which) {
	const all = /** @type {HTMLElement[]} */ ([...parent.querySelectorAll(which)]);
	if (all[0] && !all.some((one) => one.tabIndex === 0)) all[0].tabIndex = 0;
}

/** Show lines beside the pointer while it is over an element.
 * @param {Tip} tip @param {HTMLElement} element @param {(event: PointerEvent) => string[]} lines */
function hover(tip, element, lines) {
	element.onpointermove = (event) => tip(event, lines(event));
	element.onpointerleave = () => tip(null);
}

/** Give which of n equal columns of an element the pointer is over.
 * @param {MouseEvent} event @param {HTMLElement} element @param {number} n */
function under(event, element, n) {
	const box = element.getBoundingClientRect();
	return Math.min(n - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * n)));
}

// views: each gives its element, and how to show a state

/** @type {Draw} */
function top({ root, send, about }) {
	/** @type {Timer} */
	let timer;
	const typed = () => {
		clearTimeout(timer);
		timer = setTimeout(search, DEBOUNCE_MS);
	};
	const search = () => {
		clearTimeout(timer);
		timer = undefined;
		send("search", { text: text.value });
	};
	const text = h("input", {
		type: "search", placeholder: "Search names, types, titles, errors", "aria-label": "Search",
		title: "Found anywhere in type, names, title or error texts, without regard to case",
		input: typed, keydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && search(),
	});
	const spans = h("div", { role: "group", "aria-label": "Time span", class: "ak-spans" });
	const hint = "Such as 2026-01-31 22:00, or 36h before the newest activity; empty: no limit";
	const edges = ["since", "until"].map((name, i) => {
		const input = h("input", { type: "text", title: hint, placeholder: "no limit", size: "20",
			change: () => send("edge", { name, text: input.value }) });
		return { input, label: h("label", {}, i ? "To" : "From", input) };
	});
	const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
	const zones = [...new Set(["UTC", here, ...(Intl.supportedValuesOf?.("timeZone") ?? [])])];
	const zone = select("Time zone", zones.map((name) => [name, name]), (name) => send("zone", { zone: name }));
	const kinds = h("div", { role: "group", "aria-label": "Kinds of activities", class: "ak-kinds" });
	const reset = button({ title: "Show everything again", click: () => send("reset") }, "Reset");
	const element = h("div", { class: "ak-bar" }, text, spans, ...edges.map((edge) => edge.label), zone, kinds, reset);
	return [element, (state) => {
		const focused = root.ownerDocument.activeElement === text && timer !== undefined;
		if (!focused && text.value !== state.text) text.value = state.text;
		fill(spans, about().spans, () => button(), (button, name) => {
			say(button, name);
			put(button, "title", name === "All" ? "All time" : `The last ${name} before the newest activity`);
			put(button, "aria-pressed", String(state.span === name));
			button.onclick = () => send("span", { name });
		});
		if (!state.error) edges.forEach(({ input }, i) => {
			const [text, full] = state.edges[i] ?? ["", ""];
			input.value = text;
			put(input, "title", full ? `${full}. ${hint}` : hint);
		});
		zone.value = state.zone;
		if (zone.value !== state.zone) zone.append(h("option", { selected: true }, state.zone));
		const make = () => h("label", {}, h("input", { type: "checkbox" }), h("span"));
		fill(kinds, Object.keys(state.kinds), make, (label, name) => {
			label.firstChild.checked = state.kinds[name];
			label.firstChild.onchange = () => send("kinds", { name });
			say(label.lastChild, `${name} ${count(state.kindCounts[name])}`);
		});
	}];
}

/** @type {Draw} */
function facets(board) {
	const { send, about } = board;
	/** @type {Map<string, {element: HTMLElement, show: (facet: Facet) => void}>} */
	const boxes = new Map();
	const list = h("div");
	const add = h("select", { "aria-label": "Add a facet", change: () => {
		send("facets", { names: [...boxes.keys(), add.value] });
	} });
	const element = h("aside", { class: "ak-left", "aria-label": "Filters" }, list, add);
	return [element, (state) => {
		const names = state.facets.map((facet) => facet.name);
		for (const [name, box] of boxes) if (!names.includes(name)) { box.element.remove(); boxes.delete(name); }
		for (const facet of state.facets) {
			let box = boxes.get(facet.name);
			if (!box) {
				const others = () => [...boxes.keys()].filter((one) => one !== facet.name);
				box = facetBox(board, facet, () => send("facets", { names: others() }));
				boxes.set(facet.name, box);
				list.append(box.element);
			}
			box.show(facet);
		}
		const rest = about().facets.filter(([name]) => !names.includes(name));
		add.replaceChildren(...options([["", "More facets …"], ...rest]));
		add.hidden = !rest.length;
	}];
}

/** @param {Board} board @param {Facet} first @param {() => void} hide */
function facetBox({ send }, first, hide) {
	const { name, title } = first;
	/** @type {Timer} */
	let timer;
	const clear = button({ class: "ak-link", title: `Take off what is chosen under ${title}`,
		click: () => send("clear", { facet: name }) }, "clear");
	const close = button({ class: "ak-link ak-hide", "aria-label": `Hide ${title}`, click: hide }, "✕");
	const find = h("input", { type: "search", "aria-label": `Search in ${title}`, input: () => {
		clearTimeout(timer);
		timer = setTimeout(() => send("find", { facet: name, text: find.value.trim() }), DEBOUNCE_MS);
	} });
	const list = h("ul", { "aria-label": title });
	const more = button({ class: "ak-link" });
	const element = h("section", { class: "ak-facet", "aria-label": title },
		h("div", { class: "ak-head" }, h("h3", {}, title), clear, close), find, list, more);
	roving(list, ".ak-option", 1);
	list.addEventListener("keydown", (event) => {
		const row = /** @type {HTMLElement} */ (event.target).closest("li");
		const [fold, option, only] = /** @type {HTMLElement[]} */ ([...(row?.children ?? [])]);
		if (event.key === "ArrowRight") (fold?.ariaExpanded === "false" ? fold.click() : only?.focus());
		if (event.key !== "ArrowLeft") return;
		if (event.target === only) option?.focus();
		else if (fold?.ariaExpanded === "true") fold.click();
	});
	const make = () => h("li", {},
		button({ class: "ak-fold", tabindex: "-1" }),
		button({ class: "ak-option", tabindex: "-1" }, h("span"), h("bdi"), h("em")),
		button({ class: "ak-link ak-only", tabindex: "-1" }, "only"));
	/** @param {Facet} facet */
	const show = (facet) => {
		const most = Math.max(1, ...facet.options.map((option) => option.n));
		fill(list, facet.options, make, (row, option) => {
			const [fold, button, only] = row.children;
			fold.hidden = typeof option.open !== "boolean";
			put(fold, "aria-expanded", fold.hidden ? null : String(option.open));
			put(fold, "aria-label", `Below ${option.label}`);
			fold.onclick = () => send("fold", { number: option.number });
			row.style.setProperty("--depth", String(option.depth ?? 0));
			button.style.setProperty("--w", `${(100 * option.n) / most}%`);
			put(button, "aria-pressed", String(option.on));
			const hint = option.on ? ", chosen; press to take off" : "";
			put(button, "title", `${option.label}: ${count(option.n)}${hint}`);
			button.onclick = () => send("toggle", { facet: name, number: option.number });
			const mark = button.firstChild;
			mark.hidden = !option.mark;
			if (option.mark) mark.replaceChildren(sign({ mark: option.mark, colour: option.colour ?? "" }));
			say(button.children[1], option.label);
			say(button.children[2], count(option.n));
			put(button, "data-none", option.n === 0);
			put(only, "aria-label", `Only ${option.label}`);
			only.onclick = () => send("toggle", { facet: name, number: option.number, only: true });
		});
		oneStop(list, ".ak-option");
		clear.hidden = !facet.options.some((option) => option.on);
		find.hidden = facet.find === null;
		put(find, "placeholder", `Search ${count(facet.size)}`);
		more.hidden = !facet.more;
		say(more, `${count(facet.more)} more`);
		more.onclick = () => send("room", { facet: name, room: facet.options.length + 20 });
	};
	return { element, show };
}

/** @type {Draw} */
function found({ send }) {
	const said = h("b");
	const over = soft();
	const chips = h("div", { class: "ak-chips", role: "group", "aria-label": "What is on" });
	const status = h("p", { role: "status", "aria-live": "polite" }, said, " ", over);
	const element = h("div", { class: "ak-found" }, status, chips);
	return [element, (state) => {
		say(said, state.said);
		say(over, state.over);
		const make = () => button({}, h("bdi"), " ×");
		fill(chips, state.chips, make, (chip, [text, full], number) => {
			say(chip.firstChild, text);
			put(chip, "title", `Take off: ${full}`);
			put(chip, "aria-label", `Take off: ${text}`);
			chip.onclick = () => send("takeOff", { number });
		});
	}];
}

/** @returns {View} */
function cards() {
	const element = h("div", { class: "ak-cards" });
	return [element, (state) => fill(element, state.cards,
		() => h("div", { class: "ak-card" }, h("span"), h("b"), h("span"), h("span")),
		(card, { title, value, note, tone, hint }) => {
			put(card, "data-tone", tone);
			[title, value, hint || note, hint ? note : ""].forEach((text, i) => say(card.children[i], text));
		})];
}

/** @type {Draw} */
function timeline({ send, tip }) {
	const legend = h("span", { class: "ak-legend" });
	const aside = soft();
	const element = panel("Activities over time", aside, legend);
	const plot = h("div", { class: "ak-plot ak-time", tabindex: "0", role: "slider",
		"aria-label": "Activities over time",
		title: "Drag to choose a span; or by keyboard: arrows move, shift and arrows extend, Enter chooses" });
	const empty = soft("Nothing here says when it was created.");
	element.append(plot, empty);
	/** @type {Time | null} */
	let time = null;
	let [anchor, cursor] = [0, 0];
	const brush = h("div", { class: "ak-brush", hidden: true });
	const size = () => time?.starts.length ?? 1;
	/** @param {MouseEvent} event */
	const bucket = (event) => under(event, plot, size() - 1);
	/** @param {number} i */
	const lines = (i) => {
		if (!time) return [];
		const shown = time.series.filter((one) => one.n[i]);
		const total = sum(shown.map((one) => one.n[i]));
		return [`${time.starts[i]} – ${time.starts[i + 1]}`,
			...shown.map((one) => `${one.mark} ${one.label} ${count(one.n[i])}`),
			`Total ${count(total)}`,
			`Failure rate ${percent(time.failed[i], time.decided[i])} of ${count(time.decided[i])} runs`];
	};
	const mark = () => {
		const [a, b] = [Math.min(anchor, cursor), Math.max(anchor, cursor) + 1];
		brush.hidden = false;
		brush.style.left = `${(100 * a) / (size() - 1)}%`;
		brush.style.width = `${(100 * (b - a)) / (size() - 1)}%`;
		put(plot, "aria-valuenow", cursor);
		put(plot, "aria-valuetext", lines(cursor).join(", "));
	};
	const choose = () => {
		if (time) send("span", { first: Math.min(anchor, cursor), last: Math.max(anchor, cursor) });
	};
	plot.addEventListener("pointerdown", (event) => {
		if (event.button) return;
		plot.setPointerCapture(event.pointerId);
		anchor = cursor = bucket(event);
		mark();
	});
	plot.addEventListener("pointermove", (event) => {
		if (plot.hasPointerCapture(event.pointerId)) { cursor = bucket(event); mark(); }
		tip(event, lines(bucket(event)));
	});
	plot.addEventListener("pointerup", (event) => { if (plot.hasPointerCapture(event.pointerId)) choose(); });
	plot.addEventListener("pointercancel", () => { brush.hidden = true; });
	plot.addEventListener("pointerleave", () => tip(null));
	plot.addEventListener("blur", () => { brush.hidden = true; });
	plot.addEventListener("keydown", (event) => {
		/** @type {Record<string, number>} */
		const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -size(), End: size() };
		if (event.key in steps) {
			cursor = Math.min(size() - 2, Math.max(0, cursor + steps[event.key]));
			if (!event.shiftKey) anchor = cursor;
			mark();
			event.preventDefault();
		} else if (event.key === "Enter") choose();
	});
	return [element, (state) => {
		time = state.time;
		plot.hidden = legend.hidden = !time;
		empty.hidden = !!time;
		if (!time) return;
		const n = time.starts.length - 1;
		say(aside, `per ${time.width}${time.leftOut ? `, ${count(time.leftOut)} outside are not drawn` : ""}`);
		legend.replaceChildren(...time.series.map((one) => h("span", {}, sign(one), one.label)));
		put(plot, "aria-valuemin", 0);
		put(plot, "aria-valuemax", n - 1);
		cursor = Math.min(cursor, n - 1);
		put(plot, "aria-valuenow", cursor);
		put(plot, "aria-valuetext", lines(cursor).join(", "));
		plot.replaceChildren(counts(time, n), h("div", { class: "ak-note" }, "Failure rate of root activities"),
			failing(time, n), axis(time.ticks.map(([at, text]) => [at / n, text])),
			...outside(time.inside, n), brush);
		brush.hidden = true;
	}];
}

/** @param {Time} time @param {number} n */
function counts(time, n) {
	const totals = Array.from({ length: n }, (_, i) => sum(time.series.map((one) => one.n[i])));
	const most = roundUp(Math.max(...totals));
	const all = sum(totals);
	const named = time.series.map((one) => `${one.label} ${count(sum(one.n))}`);
	const figure = canvas(n, `${count(all)} activities by outcome: ${named.join(", ")}`);
	const base = new Array(n).fill(0);
	for (const one of time.series) {
		const heights = one.n.map((value) => (1000 * value) / most);
		figure.append(bars(heights, base, one.colour));
		heights.forEach((height, i) => { base[i] += height; });
	}
	return scale([[1, count(most)], [0.5, count(most / 2)], [0, "0"]], figure, "ak-tall");
}

/** @param {Time} time @param {number} n */
function failing(time, n) {
	const rates = time.failed.map((failed, i) => (time.decided[i] ? failed / time.decided[i] : 0));
	const most = Math.min(1, roundUp(100 * Math.max(...rates)) / 100) || 1;
	const [failed, decided] = [sum(time.failed), sum(time.decided)];
	const figure = canvas(n, `Failure rate ${percent(failed, decided)} of ${count(decided)} runs`);
	figure.append(bars(rates.map((rate) => (1000 * rate) / most), [], "var(--ak-error)"));
	return scale([[1, `${Math.round(100 * most)} %`], [0, "0 %"]], figure, "ak-low");
}

/** Put a figure onto lines with numbers.
 * @param {[number, string][]} ticks @param {Element} figure @param {string} kind */
function scale(ticks, figure, kind) {
	const grid = ticks.map(([at, text]) =>
		h("span", { class: "ak-grid", style: `bottom:${100 * at}%` }, h("i", {}, text)));
	return h("div", { class: `ak-scale ${kind}` }, ...grid, figure);
}

/** @param {[number, string][]} ticks */
function axis(ticks) {
	const texts = ticks.map(([at, text]) => h("span", { style: `left:${100 * at}%` }, text));
	return h("div", { class: "ak-axis", "aria-hidden": "true" }, ...texts);
}

/** Shade what lies outside the chosen span.
 * @param {[number, number]} inside @param {number} n */
function outside([first, length], n) {
	return [[0, first], [first + length, n]].filter(([a, b]) => a < b).map(([a, b]) =>
		h("div", { class: "ak-outside", style: `left:${(100 * a) / n}%;width:${(100 * (b - a)) / n}%` }));
}

/** @type {Draw} */
function histogram({ tip }) {
	const said = soft();
	const element = panel("Durations, log scale", said);
	const plot = h("div", { class: "ak-plot" });
	element.append(plot);
	return [element, ({ lengths }) => {
		const n = lengths.bins.length;
		say(said, n ? lengths.marks.map(([, text]) => text).join(" · ") : "");
		if (!n) return plot.replaceChildren(soft("Nothing that matches has a duration."));
		const most = roundUp(Math.max(...lengths.bins));
		const figure = canvas(n, `Durations: ${lengths.marks.map(([, text]) => text).join(", ")}`);
		figure.append(bars(lengths.bins.map((value) => (1000 * value) / most), [], "var(--ak-neutral)"));
		const marks = lengths.marks.map(([at, title]) =>
			h("span", { class: "ak-at", style: `left:${100 * at}%`, title }));
		const framed = scale([[1, count(most)], [0.5, count(most / 2)], [0, "0"]], figure, "ak-mid");
		framed.append(...marks);
		hover(tip, framed, (event) => {
			const i = under(event, framed, n);
			return [lengths.hints[i] ?? "", `${count(lengths.bins[i])} activities`];
		});
		plot.replaceChildren(framed, axis(lengths.ticks));
	}];
}

/** Groups side by side, each with a point and a range; choosing one filters.
 * @param {Board} board @param {"ratesBy" | "lengthsBy"} which @param {string} title @returns {View} */
function groups({ send, about, tip }, which, title) {
	const by = select(`${title} by`, about().dimensions, (name) => send("by", { view: which.slice(0, -2), name }));
	const element = panel(`${title} by`, by);
	const list = h("div", { class: `ak-lines ak-${which}` });
	const foot = h("div", { class: "ak-lines-axis" });
	element.append(list, foot);
	roving(list, "button", 1);
	const make = () => button({ class: "ak-line", tabindex: "-1" },
		h("bdi"), h("span", { class: "ak-track" }, h("i"), h("i")), h("em"));
	return [element, (state) => {
		const { rows, ticks, by: now } = state[which];
		by.value = now;
		fill(list, rows, make, (line, row) => {
			const [label, track, said] = line.children;
			say(label, row.label);
			say(said, row.said);
			put(line, "aria-pressed", String(row.on));
			put(line, "aria-label", `${row.label}: ${row.hint}`);
			line.onclick = () => send("toggle", { facet: now, number: row.number });
			hover(tip, line, () => [row.label, row.hint]);
			[...track.children].forEach((part, i) => {
				const [from = 0, to = 0] = row.ends.slice(2 * i);
				part.style.cssText = `left:${from}%;width:${to - from}%`;
			});
		});
		oneStop(list, "button");
		foot.replaceChildren(rows.length ? axis(ticks) : soft("Nothing that matches counts here."));
	}];
}

/** @type {Draw} */
function reasons({ send }) {
	const element = panel("Failure reasons", soft("runs on resources"));
	const list = h("div", { class: "ak-lines ak-reasons" });
	const empty = soft("No root activity that matches has failed.");
	element.append(list, empty);
	roving(list, "button", 1);
	return [element, (state) => {
		const most = Math.max(1, ...state.reasons.map((one) => one.resources));
		const make = () => button({ class: "ak-line", tabindex: "-1" }, h("bdi"), h("em"));
		fill(list, state.reasons, make, (line, one) => {
			say(line.firstChild, one.label);
			say(line.lastChild, `${count(one.n)} on ${count(one.resources)}`);
			put(line, "title", one.label);
			put(line, "aria-pressed", String(one.on));
			line.style.setProperty("--w", `${(100 * one.resources) / most}%`);
			line.onclick = () => send("reason", { key: one.key });
		});
		oneStop(list, "button");
		empty.hidden = !!state.reasons.length;
	}];
}

/** @type {Draw} */
function week({ send, tip }) {
	let shade = "n";
	/** @type {State | null} */
	let last = null;
	const what = select("Shade by", [["n", "activities"], ["rate", "failure rate"]], (value) => {
		shade = value;
		if (last) show(last);
	});
	const zone = soft();
	const element = panel("Weekday and hour of creation", zone, what);
	const body = h("tbody");
	const hours = Array.from({ length: 24 }, (_, hour) =>
		h("th", { scope: "col", "aria-label": hour }, hour % 6 ? "" : String(hour)));
	const cells = WEEKDAYS.flatMap((day) => {
		const made = hours.map(() => button({ tabindex: "-1" }));
		body.append(h("tr", {}, h("th", { scope: "row" }, day), ...made.map((one) => h("td", {}, one))));
		return made;
	});
	const head = h("tr", {}, h("th", { scope: "col", "aria-label": "Weekday" }), ...hours);
	const grid = h("table", { class: "ak-week" }, h("thead", {}, head), body);
	element.append(grid);
	roving(grid, "button", 24);
	const first = cells[0];
	if (first) first.tabIndex = 0;
	/** @param {State} state */
	const show = (state) => {
		last = state;
		say(zone, state.zone);
		const { n, failed, decided, on } = state.week;
		const values = shade === "n" ? n : failed.map((value, i) => (decided[i] ? value / decided[i] : 0));
		const most = Math.max(...values) || 1;
		put(grid, "data-shade", shade);
		cells.forEach((cell, i) => {
			const name = `${WEEKDAYS[Math.floor(i / 24)]} ${String(i % 24).padStart(2, "0")}:00`;
			const rate = `failure rate ${percent(failed[i], decided[i])} of ${count(decided[i])} runs`;
			const said = `${count(n[i])} activities, ${rate}`;
			put(cell, "aria-label", `${name}: ${said}`);
			put(cell, "aria-pressed", String(on.includes(i)));
			cell.style.setProperty("--w", `${Math.round((100 * values[i]) / most)}%`);
			cell.onclick = () => send("hour", { hour: i });
			hover(tip, cell, () => [name, said]);
		});
	};
	return [element, show];
}

/** @type {Draw} */
function table({ send, about }) {
	const said = soft();
	/** @type {[string, string, (state: Table) => number][]} */
	const ways = [["«", "First page", () => 0], ["‹", "Page before", ({ page }) => page - 1],
		["›", "Next page", ({ page }) => page + 1], ["»", "Last page", ({ last }) => last]];
	const turns = ways.map(([text, label]) => button({ class: "ak-turn", title: label, "aria-label": label }, text));
	const [menu, showMenu] = columnMenu(send, about);
	const element = panel("Matching activities", said, ...turns, menu);
	const [head, body] = [h("tr"), h("tbody")];
	element.append(h("div", { class: "ak-table", tabindex: "0", role: "region", "aria-label": "Table" },
		h("table", {}, h("thead", {}, head), body)));
	roving(body, "button", 1);
	return [element, ({ table: shown, details }) => {
		say(said, shown.said);
		turns.forEach((button, i) => {
			button.disabled = i < 2 ? shown.page === 0 : shown.page === shown.last;
			button.onclick = () => send("page", { page: ways[i]?.[2](shown) });
		});
		showMenu(shown);
		fill(head, shown.columns, () => h("th", { scope: "col" }, button()), (cell, [name, title]) => {
			put(cell, "aria-sort", name !== shown.sort ? null : shown.descending ? "descending" : "ascending");
			put(cell, "class", WIDE.has(name) ? name : null);
			say(cell.firstChild, title);
			put(cell.firstChild, "title", `Sort by ${title}`);
			cell.firstChild.onclick = () => send("order", { name });
		});
		fill(body, shown.rows, () => h("tr"), (line, row) => {
			const open = row.id === details?.id;
			put(line, "class", open ? "on" : null);
			line.onclick = () => send("details", { id: open ? "" : row.id });
			fill(line, shown.columns, () => h("td"), (cell, [name], i) => {
				const text = row.cells[i] ?? "";
				put(cell, "class", WIDE.has(name) ? name : null);
				put(cell, "title", text);
				const inner = i ? h("bdi", {}, text)
					: button({ class: "ak-link", tabindex: "-1", "aria-expanded": String(open) }, text);
				const old = cell.lastElementChild;
				if (cell.textContent === text && old?.tagName === inner.tagName && name !== "outcome") {
					if (!i) put(old, "aria-expanded", String(open));
				} else cell.replaceChildren(...(name === "outcome" ? [sign(row)] : []), inner);
			});
		});
		oneStop(body, "button");
	}];
}

/** @param {Send} send @param {() => About} about @returns {[HTMLElement, (table: Table) => void]} */
function columnMenu(send, about) {
	const list = h("div");
	const find = h("input", { type: "search", "aria-label": "Search columns", input: () => show(shown) });
	const element = h("details", { class: "ak-menu" }, h("summary", {}, "Columns"), h("div", {}, find, list));
	/** @type {string[]} */
	let shown = [];
	/** @param {string[]} names */
	const show = (names) => {
		shown = names;
		if (!element.open) return;
		const named = ["createdAt", "outcome", "operation", "tenant", "plan", "resource", "duration_s"];
		const all = [...new Set([...names, ...named, ...about().columns])];
		const wanted = all.filter((name) => name.toLowerCase().includes(find.value.trim().toLowerCase())).slice(0, 40);
		fill(list, wanted, () => h("label", {}, h("input", { type: "checkbox" }), h("bdi")), (label, name) => {
			const box = label.firstChild;
			box.checked = names.includes(name);
			say(label.lastChild, name);
			box.onchange = () => {
				const value = box.checked ? [...names, name] : names.filter((one) => one !== name);
				if (value.length) send("columns", { names: value });
				else box.checked = true;
			};
		});
	};
	element.addEventListener("toggle", () => show(shown));
	return [element, (now) => show(now.columns.map(([name]) => name))];
}

/** @type {Draw} */
function details({ send }) {
	const element = h("section", { class: "ak-panel ak-details", "aria-label": "Details" });
	/** @type {string | undefined} */
	let id;
	return [element, ({ details: one }) => {
		element.hidden = !one;
		if (!one) { id = undefined; return; }
		if (one.id !== id) element.replaceChildren(...detailed(one, send));
		id = one.id;
	}];
}

/** @param {Details} one @param {Send} send */
function detailed(one, send) {
	const close = button({ "aria-label": "Close the details", click: () => open("") }, "✕");
	/** @param {string} title @param {Brief[]} list */
	const related = (title, list) => list.length ? [h("h4", {}, title), h("ul", {}, ...list.map(link))] : [];
	/** @param {Brief} brief */
	const link = ({ id, label, outcome: title, ...look }) =>
		h("li", {}, sign(look), button({ class: "ak-link", title, click: () => open(id) }, label));
	/** @param {string} id */
	const open = (id) => send("details", { id });
	const links = one.chain.map(([code, text]) => h("li", {}, h("bdi", {}, text), " ", h("code", {}, code)));
	const wrong = [h("h4", {}, "What went wrong, from the outside in"), h("ol", { class: "ak-chain" }, ...links)];
	return [
		h("div", { class: "ak-head" }, h("h3", {}, "Details"), close),
		h("p", {}, sign(one), `${one.outcome}  `, h("b", {}, h("bdi", {}, one.operation))),
		h("p", { class: "ak-chips" }, ...one.facets.map(([facet, title, number, label]) =>
			button({ title: `Filter by ${title}: ${label}`,
				click: () => send("toggle", { facet, number, only: true }) }, `${title}: `, h("bdi", {}, label)))),
		...(links.length ? wrong : []), ...related("Parents", one.parents), ...related("Children", one.children),
		...related("Same resource, just before and after", one.neighbours),
		h("h4", {}, "All properties"),
		h("dl", {}, ...one.values.flatMap(([name, value]) =>
			[h("dt", {}, h("bdi", {}, name)), h("dd", {}, h("bdi", {}, value))])),
	];
}

/** @type {Draw} */
function handing({ send, about }) {
	const code = h("code");
	const copy = button({ click: () => navigator.clipboard?.writeText(code.textContent ?? "") }, "Copy");
	const note = h("span", { role: "status" });
	/** @param {string} name @param {string} label @param {string} file */
	const act = (name, label, file) => {
		const path = h("input", { type: "text", value: file, "aria-label": `File for: ${label}`, size: "18" });
		const click = () => {
			say(note, `${label} …`);
			send("act", { name, path: path.value });
		};
		const done = button({ click }, label);
		return h("span", { class: "ak-act" }, done, ...(file ? [path] : []));
	};
	const acts = {
		save: act("save", "Save as snapshot", "selection.parquet"),
		report: act("report", "Report of this selection", "report.html"),
		refresh: act("refresh", "Refresh", ""),
	};
	const element = h("section", { class: "ak-panel ak-handing", "aria-label": "Take the selection with you" },
		h("div", { class: "ak-acts" }, ...Object.values(acts), note),
		h("details", {}, h("summary", {}, "Use this selection in Python: ", h("code", {}, ".filter .filtered .code")),
			h("pre", { tabindex: "0", role: "region", "aria-label": "Python code" }, code), copy));
	return [element, (state) => {
		for (const [name, one] of Object.entries(acts)) one.hidden = !about().can.includes(name);
		say(code, state.code);
		say(note, state.note);
	}];
}

/** What went wrong, said where it cannot be missed. @returns {View} */
function alerts() {
	const element = h("div", { role: "alert" });
	return [element, ({ error }) => {
		element.className = error ? "ak-error" : "";
		const more = error?.details && h("details", {}, h("summary", {}, "Details"), h("pre", {}, error.details));
		element.replaceChildren(...(error ? [h("b", {}, `✕ ${error.text}`), more || ""] : []));
	}];
}

/** A note beside the pointer. @param {HTMLElement} root @returns {Tip} */
function tips(root) {
	const element = h("div", { class: "ak-tip", hidden: true, "aria-hidden": "true" });
	root.append(element);
	return (event, lines = []) => {
		element.hidden = !event;
		if (!event) return;
		fill(element, lines, () => h("div"), (line, text) => say(line, text));
		const box = root.getBoundingClientRect();
		const left = event.clientX - box.left;
		element.style.left = `${Math.min(left + 14, box.width - element.offsetWidth - 4)}px`;
		element.style.top = `${Math.max(event.clientY - box.top - element.offsetHeight - 10, 0)}px`;
	};
}

/** @param {{model: Model, el: HTMLElement}} context */
function render({ model, el }) {
	const root = h("div", { class: "ak ak-board", role: "region", "aria-label": "Activity explorer",
		keydown: (/** @type {Event} */ event) => event.stopPropagation(),
		// Jupyter's shortcuts would fire inside: `b` inserts a cell. It spares what has this attribute
		// itself; that something around it has is not enough for shortcuts of any focused element
		focusin: (/** @type {any} */ { target }) => put(target, "data-lm-suppress-shortcuts", "true") });
	let sent = 0;
	/** @type {Send} */
	const send = (kind, event = {}) => {
		sent = Math.max(sent, Number(root.dataset.seq)) + 1;
		put(root, "aria-busy", "true");
		model.send({ ...event, kind, seq: sent });
	};
	const board = { root, send, about: () => model.get("about"), tip: tips(root) };
	const views = [
		top(board), alerts(), facets(board), found(board), cards(), timeline(board), histogram(board),
		groups(board, "ratesBy", "Failure rate"), groups(board, "lengthsBy", "Duration"), reasons(board),
		week(board), table(board), details(board), handing(board),
	];
	const [bar, alert, left, said, heads, time, lengths, rates, durations, why, when, rows, one, acts] =
		views.map(([element]) => element);
	/** @param {string} name @param {...HTMLElement} elements */
	const box = (name, ...elements) => h("div", { class: name }, ...elements);
	root.append(bar, alert, box("ak-main", left, box("ak-right", said, heads, time,
		box("ak-row", lengths, rates, durations), box("ak-row", why, when), box("ak-rows", rows, one), acts)));
	const show = () => {
		const state = /** @type {State} */ (JSON.parse(model.get("state")));
		if (state.seq < sent) return; // the answer to a newer event is on its way
		for (const [, view] of views) view(state);
		root.dataset.seq = String(state.seq);
		put(root, "aria-busy", "false");
	};
	el.append(root);
	show();
	model.on("change:state", show);
	return () => model.off("change:state", show);
}

export default { render };
