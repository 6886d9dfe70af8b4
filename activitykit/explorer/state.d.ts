// What `state.py` says, for the checks of `board.js`: types only, nothing that runs.

/** One line of a facet; `open` is null where nothing lies below it. */
export interface Option {
  number: number; label: string; n: number; on: boolean;
  mark?: string; colour?: string; depth?: number; open?: boolean | null;
}
/** `find` is what is searched for, null where there are too few options to search. */
export interface Facet {
  name: string; title: string; find: string | null; size: number; more: number; options: Option[];
}
export interface Card { title: string; value: string; note: string; tone: string; hint: string }
export interface Series { label: string; mark: string; colour: string; n: number[] }
/** Buckets of time; `inside` is the first one of the chosen span, and how many there are. */
export interface Time {
  width: string; starts: string[]; ticks: [number, string][]; series: Series[];
  failed: number[]; decided: number[]; inside: [number, number]; leftOut: number;
}
/** Places on an axis are fractions of it. */
export interface Lengths {
  bins: number[]; hints: string[]; ticks: [number, string][]; marks: [number, string][];
}
/** A group: `ends` are those of a bar or point, and of a range, in percent of the axis. */
export interface Line {
  number: number; label: string; on: boolean; ends: number[]; said: string; hint: string;
}
export interface Lines { by: string; ticks: [number, string][]; rows: Line[] }
export interface Reason { label: string; key: string; on: boolean; n: number; resources: number }
/** By hour of the week, from Monday 0:00. */
export interface Week { n: number[]; failed: number[]; decided: number[]; on: number[] }
export interface Row { id: string; mark: string; colour: string; cells: string[] }
export interface Table {
  columns: [string, string][]; sort: string; descending: boolean;
  page: number; last: number; said: string; rows: Row[];
}
export interface Brief { id: string; label: string; mark: string; colour: string; outcome: string }
/** `facets` are name, title, number of the option and label; the chain goes from outside in. */
export interface Details {
  id: string; mark: string; colour: string; outcome: string; operation: string;
  facets: [string, string, number, string][]; chain: [string, string][]; values: [string, string][];
  parents: Brief[]; children: Brief[]; neighbours: Brief[];
}
/** `seq` is the number of the last answered event; chips and edges have a short and a full text. */
export interface State {
  seq: number; error: { text: string; details: string } | null; note: string;
  said: string; over: string; chips: [string, string][]; text: string; span: string; edges: [string, string][];
  zone: string; kinds: Record<string, boolean>; kindCounts: Record<string, number>;
  cards: Card[]; facets: Facet[]; time: Time | null; lengths: Lengths; ratesBy: Lines;
  lengthsBy: Lines; reasons: Reason[]; week: Week; table: Table; details: Details | null;
  code: string;
}
export interface About {
  columns: string[]; facets: [string, string][]; dimensions: [string, string][];
  spans: string[]; can: string[];
}

export type Send = (kind: string, event?: Record<string, unknown>) => void;
/** Shows lines beside the pointer, or hides them. */
export type Tip = (event: { clientX: number; clientY: number } | null, lines?: string[]) => void;
export interface Board { root: HTMLElement; send: Send; about: () => About; tip: Tip }
/** An element, and how to show a state in it. */
export type View = [HTMLElement, (state: State) => void];
export type Timer = ReturnType<typeof setTimeout> | undefined;
export type Draw = (board: Board) => View;
export interface Model {
  get(name: "state"): string;
  get(name: "about"): About;
  send(content: unknown): void;
  on(event: string, heard: () => void): void;
  off(event: string, heard: () => void): void;
}
