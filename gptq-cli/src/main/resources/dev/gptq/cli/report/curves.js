// Draws lines over one axis, with a mark across it. The numbers are in the page.
(() => {
  'use strict';

  const dark = matchMedia('(prefers-color-scheme: dark)');
  const COLOURS = ['#3b82d6', '#d98c1f', '#3f9b54', '#9467bd'];

  function draw(root) {
    const data = JSON.parse(root.querySelector('script').textContent);
    const names = Object.keys(data.lines);
    let plot = null;

    function render() {
      if (plot) plot.destroy();
      const style = getComputedStyle(root);
      const ink = style.getPropertyValue('--ink').trim();
      const line = style.getPropertyValue('--line').trim();
      const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
      const number = (_, value) => (value === null || value === undefined ? '–' : value.toPrecision(4));
      plot = new uPlot({
        width: Math.max(200, Math.min(900, root.clientWidth)),
        height: 320,
        scales: { x: { time: false } },
        axes: [{ ...axis, label: data.across }, { ...axis, label: data.up, size: 78 }],
        series: [
          { label: data.across, value: (_, value) => value ?? '–' },
          ...names.map((name, i) => ({ label: name, stroke: COLOURS[i], width: 2, value: number, spanGaps: true })),
        ],
        hooks: {
          draw: [(u) => {
            const x = Math.round(u.valToPos(data.mark, 'x', true));
            u.ctx.save();
            u.ctx.strokeStyle = ink;
            u.ctx.setLineDash([4, 4]);
            u.ctx.beginPath();
            u.ctx.moveTo(x, u.bbox.top);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
            u.ctx.restore();
          }],
        },
      }, [data.at, ...names.map((name) => data.lines[name])], root);
    }

    render();
    let width = root.clientWidth;
    new ResizeObserver(() => {
      if (root.clientWidth !== width) {
        width = root.clientWidth;
        plot.setSize({ width: Math.max(200, Math.min(900, width)), height: plot.height });
      }
    }).observe(root);
    dark.addEventListener('change', render);
    root.dataset.drawn = '1';
  }

  document.querySelectorAll('.curves').forEach(draw);
})();
