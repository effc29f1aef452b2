// The curves of a training as a picture: loss and a metric over epochs, SVG that needs nothing to be looked at. Drawn by ECharts.

import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { EpochResult, Scores } from '../train/callbacks'

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

/** Loss (left axis) and the first metric, if there is one (right axis), of each epoch, and of the validation data where they are known. */
export function drawCurves(history: readonly EpochResult[], title: string): string {
  const metric = Object.keys(history[0]?.metrics ?? {})[0]
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 })
  const line = (name: string, axis: number, dashed: boolean, of: (result: EpochResult) => Scores | undefined) => ({
    ...{ type: 'line' as const, name, yAxisIndex: axis, showSymbol: history.length < 2, color: axis ? '#c2571a' : '#2a5caa' },
    lineStyle: { type: dashed ? ('dashed' as const) : ('solid' as const) },
    data: history.flatMap((result) => {
      const scores = of(result)
      return scores ? [[result.epoch, axis ? scores.metrics[metric] : scores.loss]] : []
    }),
  })
  const told = history.some((result) => result.validation)
  chart.setOption({
    animation: false,
    title: { text: title, left: 'center' },
    legend: { bottom: 0 },
    grid: { top: 60, bottom: 70 },
    xAxis: { type: 'value', name: 'epoch', nameLocation: 'middle', nameGap: 24, minInterval: 1, min: 1, max: history.length },
    yAxis: [
      { type: 'value', name: 'loss', scale: true },
      { type: 'value', name: metric, scale: true, splitLine: { show: false }, show: metric !== undefined },
    ],
    series: [
      line('loss', 0, false, (result) => result),
      ...(told ? [line('validation loss', 0, true, (result) => result.validation)] : []),
      ...(metric === undefined ? [] : [line(metric, 1, false, (result) => result)]),
      ...(metric === undefined || !told ? [] : [line(`validation ${metric}`, 1, true, (result) => result.validation)]),
    ],
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}
