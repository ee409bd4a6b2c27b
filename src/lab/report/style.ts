/** The look of report.html, light and dark. Not responsible for its content. */

export const REPORT_STYLE = `
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c1e21; --quiet: #646a72; --line: #dfe1e4; --tile: #f3f3ef;
  --plain-0: #6b7280; --plain-1: #a08a5b; --plain-2: #9aa1ab; --plain-3: #7a6a86;
  --ours-0: #0b6fb8; --ours-1: #d4622a; --ours-2: #14866d; --ours-3: #a4478f; --ours-4: #8a7a00; --ours-5: #3d4fb5;
  --dirty: #d4622a; --sent: #0b6fb8; --held: #14866d; --down: #e9b9b4; --band: #e3efe6; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e6e7e9; --quiet: #9aa1ab; --line: #33373d; --tile: #1f2226;
  --plain-0: #9aa1ab; --plain-1: #c4ac78; --plain-2: #737b86; --plain-3: #a795b5;
  --ours-0: #57aee8; --ours-1: #f08a55; --ours-2: #43c3a3; --ours-3: #dd86c8; --ours-4: #cdbb3f; --ours-5: #8d9bf0;
  --dirty: #f08a55; --sent: #57aee8; --held: #43c3a3; --down: #5b2f2c; --band: #21352a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 16px; } h2 { font-size: 20px; margin: 44px 0 10px; } h3 { font-size: 16px; margin: 24px 0 6px; }
p { max-width: 90ch; margin: 8px 0; } .quiet { color: var(--quiet); font-size: 14px; }
code { font: 13px/1.4 ui-monospace, monospace; color: var(--quiet); overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 6px 32px; margin: 0; } .facts dt { color: var(--quiet); font-size: 13px; } .facts dd { margin: 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 14px; } .tile { background: var(--tile); border-radius: 8px; padding: 12px 18px; min-width: 220px; }
.tile h3 { margin: 0; font-weight: 500; } .tile strong { font-size: 30px; font-weight: 600; } .tile p { margin: 0; font-size: 14px; }
i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 7px; }
.legend span { margin-right: 18px; font-size: 14px; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 18px 32px; }
.plots.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); }
figure { margin: 12px 0 0; } figcaption { font-weight: 600; font-size: 14px; } svg { width: 100%; height: auto; max-width: 720px; display: block; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .tick { fill: var(--quiet); } svg .note { fill: var(--quiet); }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; } svg .name { font-weight: 500; }
.grid, .rule { stroke: var(--line); stroke-width: 1; } .bound { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 3; }
.median { stroke: var(--ink); stroke-width: 2.5; } .dot { fill-opacity: 0.75; stroke: var(--paper); stroke-width: 1; }
.band { fill: var(--band); } .down { fill: var(--down); } .course { fill: none; stroke-width: 2; stroke-linejoin: round; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; margin: 10px 0; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums; vertical-align: top; }
th { color: var(--quiet); font-weight: 500; } th:first-child, td:first-child { text-align: left; } td:last-child { overflow-wrap: anywhere; }
small { color: var(--quiet); font-size: 12.5px; white-space: nowrap; }
@media print { main { max-width: none; padding: 0; } figure, table { break-inside: avoid; } }
`;
