// Draws the errors of modules against their block, one line a kind of module, on one scale for all runs. The numbers are in the page.
(() => {
  'use strict';

  const dark = matchMedia('(prefers-color-scheme: dark)');
  // Bright enough on black, dark enough on white.
  const COLOURS = [
    '#3b82d6', '#d9534f', '#3f9b54', '#d98c1f', '#9467bd', '#2aa3a3', '#c05c9a', '#8a7a3b', '#708090', '#b3654a',
  ];
  const METRICS = {
    relative: 'relative error',
    error: 'error',
  };

  const element = (name, parent, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const short = (value) => (value === 0 ? '0' : value.toExponential(Math.abs(value) < 1e-99 ? 1 : 2));

  // The next of 1, 2 and 5 times a power of ten below or above.
  function around(value, up) {
    const power = 10 ** Math.floor(Math.log10(value));
    const steps = [1, 2, 5, 10].map((step) => step * power);
    return up ? steps.find((step) => step > value) : steps.findLast((step) => step < value) ?? power / 2;
  }

  function draw(root) {
    const runs = JSON.parse(root.querySelector('script').textContent);
    const modules = runs.flatMap((run) => run.modules);
    const kinds = [...new Set(modules.map((module) => module.kind))];
    const colour = (kind) => COLOURS[kinds.indexOf(kind) % COLOURS.length];
    const has = (metric) => modules.some((module) => module[metric] !== null);
    const rounded = modules.some((module) => module.rtn !== null);
    const state = {
      metric: has('relative') ? 'relative' : 'error', log: true, rtn: false, shown: new Set(kinds), plots: [],
    };

    const controls = element('div', root);
    controls.className = 'controls';
    const metric = element('select', controls);
    metric.setAttribute('aria-label', 'what is drawn');
    for (const name of Object.keys(METRICS).filter(has)) {
      element('option', metric, METRICS[name]).value = name;
    }
    metric.addEventListener('change', () => { state.metric = metric.value; render(); });

    const check = (parent, text, checked, changed) => {
      const label = element('label', parent);
      const box = element('input', label);
      box.type = 'checkbox';
      box.checked = checked;
      box.addEventListener('change', () => { changed(box.checked); render(); });
      label.append(' ', text);
      return box;
    };
    check(controls, 'log axis', state.log, (on) => { state.log = on; });
    const rtn = rounded ? check(controls, 'rounding to nearest, dashed', false, (on) => { state.rtn = on; }) : null;
    const all = element('button', controls, 'all kinds');
    const none = element('button', controls, 'no kind');

    const list = element('div', root);
    list.className = 'kinds';
    const boxes = kinds.map((kind) => {
      const box = check(list, '', true, (on) => { state.shown[on ? 'add' : 'delete'](kind); });
      const swatch = element('span', box.parentElement);
      swatch.className = 'swatch';
      swatch.style.background = colour(kind);
      box.parentElement.append(kind);
      return box;
    });
    const every = (on) => () => {
      state.shown = new Set(on ? kinds : []);
      boxes.forEach((box) => { box.checked = on; });
      render();
    };
    all.addEventListener('click', every(true));
    none.addEventListener('click', every(false));

    const panels = element('div', root);
    panels.className = 'runs';
    const panes = runs.map((run) => {
      const pane = element('div', panels);
      pane.className = 'run';
      element('h3', pane, run.name);
      return pane;
    });
    const tip = element('div', root);
    tip.className = 'tip';
    tip.hidden = true;

    // The modules of a kind by block; an expert's is the largest of its block.
    const line = (run, kind, pick, layers) => {
      const found = new Map();
      for (const module of run.modules) {
        if (module.kind !== kind) continue;
        const value = pick(module);
        if (value === null || (state.log && value <= 0)) continue;
        const old = found.get(module.layer);
        if (!old || pick(old) < value) found.set(module.layer, module);
      }
      return { modules: layers.map((l) => found.get(l)), values: layers.map((l) => (found.has(l) ? pick(found.get(l)) : null)) };
    };

    function render() {
      state.plots.forEach((plot) => plot.destroy());
      tip.hidden = true;
      // Rounding is logged relative to the output only.
      const dashed = state.rtn && state.metric === 'relative';
      if (rtn) rtn.disabled = state.metric !== 'relative';
      const style = getComputedStyle(root);
      const ink = style.getPropertyValue('--ink').trim();
      const grid = style.getPropertyValue('--line').trim();
      const drawn = runs.map((run) => {
        const layers = [...new Set(run.modules.map((module) => module.layer))].sort((a, b) => a - b);
        const lines = [];
        for (const kind of kinds.filter((k) => state.shown.has(k))) {
          lines.push({ kind, dash: false, ...line(run, kind, (m) => m[state.metric], layers) });
          if (dashed) lines.push({ kind, dash: true, ...line(run, kind, (m) => m.rtn, layers) });
        }
        return { layers, lines: lines.filter((l) => l.values.some((v) => v !== null)) };
      });
      const values = drawn.flatMap((run) => run.lines.flatMap((l) => l.values.filter((v) => v !== null)));
      const range = values.length === 0 ? [state.log ? 0.1 : 0, 1]
        : state.log ? [around(Math.min(...values), false), around(Math.max(...values), true)]
          : [0, Math.max(...values) * 1.05 || 1];
      const height = 380;

      state.plots = drawn.map((run, r) => {
        const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
        const plot = new uPlot({
          width: Math.max(200, panes[r].clientWidth),
          height,
          legend: { show: false },
          cursor: { points: { size: 8 }, focus: { prox: 24 }, drag: { x: true, y: false } },
          focus: { alpha: 0.25 },
          scales: { x: { time: false }, y: { distr: state.log ? 3 : 1, range: () => range } },
          axes: [
            { ...axis, label: 'block', incrs: [1, 2, 5, 10, 20, 50, 100] },
            { ...axis, label: METRICS[state.metric], size: 78,
              values: (_, splits) => splits.map((v) => (v === null ? '' : v === 0 ? '0' : v.toExponential().replace(/(\.\d\d)\d+/, '$1'))) },
          ],
          series: [{}, ...run.lines.map((l) => ({
            label: l.kind, stroke: colour(l.kind), width: 2, dash: l.dash ? [6, 5] : undefined,
            points: { show: run.layers.length < 80, size: 5, fill: colour(l.kind) }, spanGaps: true,
          }))],
          hooks: { setCursor: [(u) => hover(u, run, panes[r])] },
        }, [run.layers, ...run.lines.map((l) => l.values)], panes[r]);
        return plot;
      });
    }

    function hover(plot, run, pane) {
      const { idx, left, top } = plot.cursor;
      const near = idx === null || left < 0 ? [] : run.lines
        .map((l) => ({ l, away: l.values[idx] === null ? Infinity : Math.abs(plot.valToPos(l.values[idx], 'y') - top) }))
        .sort((a, b) => a.away - b.away);
      if (near.length === 0 || near[0].away > 60) {
        tip.hidden = true;
        return;
      }
      const module = near[0].l.modules[idx];
      tip.textContent = '';
      element('b', tip, module.name);
      for (const [name, value] of [['relative error', module.relative], ['rounding to nearest', module.rtn], ['error', module.error]]) {
        if (value !== null) element('div', tip, `${name} ${short(value)}`);
      }
      if (module.bits !== null) element('div', tip, `${module.bits} bits, ${module.group < 0 ? 'a scale a row' : `groups of ${module.group}`}`);
      tip.hidden = false;
      const outer = root.getBoundingClientRect();
      const over = plot.over.getBoundingClientRect();
      const x = over.left - outer.left + left;
      tip.style.top = `${over.top - outer.top + top + 14}px`;
      tip.style.left = `${Math.max(0, Math.min(x + 14, outer.width - tip.offsetWidth))}px`;
    }

    render();
    let width = panels.clientWidth;
    new ResizeObserver(() => {
      if (panels.clientWidth !== width) {
        width = panels.clientWidth;
        state.plots.forEach((plot, r) => plot.setSize({ width: Math.max(200, panes[r].clientWidth), height: plot.height }));
      }
    }).observe(panels);
    dark.addEventListener('change', render);
    root.dataset.drawn = String(state.plots.length);
  }

  document.querySelectorAll('.chart').forEach(draw);
})();
