// SPDX-License-Identifier: GPL-2.0
//
// Fill the heap of a JavaScript engine, say so, and wait to be ended.
//
// usage: node corpus.js PAGES

"use strict";

const fs = require("fs");
const wanted = Number(process.argv[2]) * 4096 * 5 / 4;

// The same numbers each time.
let state = 1;
function number(below) {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return Math.floor(state / 4294967296 * below);
}

// The names of all that the engine has.
const words = [];
for (const name of Object.getOwnPropertyNames(globalThis).sort()) {
	words.push(name);
	const value = globalThis[name];
	for (const thing of [value, value && value.prototype])
		if (thing && (typeof thing === "object" || typeof thing === "function"))
			words.push(...Object.getOwnPropertyNames(thing));
}

function text(count) {
	let line = words[number(words.length)];
	for (let i = 1; i < count; i++)
		line += " " + words[number(words.length)];
	return line;
}

function record(id) {
	return {
		id,
		name: text(2),
		price: number(100000) / 100,
		tags: Array.from({ length: number(6) }, () => words[number(words.length)]),
		at: new Date(1700000000000 + id * 60000),
		children: [],
	};
}

const kept = [];
const index = new Map();
const handlers = [];
let id = 0;
while (process.memoryUsage().rss - process.memoryUsage().external < wanted + (40 << 20)) {
	for (let i = 0; i < 500; i++) {
		const one = record(id++);
		if (kept.length && number(3) === 0)
			kept[number(kept.length)].children.push(one);
		else
			kept.push(one);
		index.set(one.name + one.id, one);
		if (number(4) === 0)
			handlers.push(event => one.children.length + event);
	}
	const message = JSON.stringify(kept.slice(-20));
	kept.push(Object.assign(record(id++), { message, parsed: JSON.parse(message) }));
	kept.push(Object.assign(record(id++), { series: Float64Array.from({ length: 64 }, () => number(1000)) }));
}

// Waiting in a call, it collects no more garbage.
fs.writeSync(1, "ready\n");
fs.readSync(0, Buffer.alloc(1));
