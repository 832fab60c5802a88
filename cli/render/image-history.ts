// `image history`.
import type { ImageLayer, InspectImageResponse } from '../../proto/gen/tsswarm/v1/image.ts'
import { ago, decimalSize } from './human.ts'
import { type ImageStep, parseImageJson } from './image-config.ts'
import type { ListView, Row } from './list-format.ts'

export interface HistoryOptions {
  readonly nowMs: number
  readonly truncate: boolean
  readonly human: boolean
}

const createdByMax = 45

export function imageHistoryView(human: boolean): ListView {
  return {
    heads: {
      ID: 'IMAGE',
      CreatedSince: 'CREATED',
      CreatedAt: 'CREATED AT',
      CreatedBy: 'CREATED BY',
      Size: 'SIZE',
      Comment: 'COMMENT',
    },
    table: `{{.ID}}\t{{.Created${human ? 'Since' : 'At'}}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`,
    quietField: 'ID',
  }
}

/** The newest step first; it alone has an image's id, as in Docker. Errors: DATA_LOSS. */
export function historyRows(image: InspectImageResponse, options: HistoryOptions): readonly Row[] {
  const { history = [] } = parseImageJson(image.config, image.id)
  const id = options.truncate ? image.id.replace(/^sha256:/, '').slice(0, 12) : image.id
  return stepsWithLayers(history, image.layers)
    .toReversed()
    .map(({ step, sizeBytes }, at) => ({
      ID: at === 0 ? id : '<missing>',
      CreatedSince: sinceText(step, options.nowMs),
      CreatedAt: step.created ?? '',
      CreatedBy: createdBy(step, options.truncate),
      Size: options.human ? decimalSize(sizeBytes) : String(sizeBytes),
      Comment: step.comment ?? '',
    }))
}

interface SizedStep {
  readonly step: ImageStep
  readonly sizeBytes: number
}

/** Layers that the history does not tell of have steps of their own at its end. */
function stepsWithLayers(
  history: readonly ImageStep[],
  layers: readonly ImageLayer[],
): readonly SizedStep[] {
  const left = [...layers]
  const told = history.map((step) => ({
    step,
    sizeBytes: step.empty_layer === true ? 0 : (left.shift()?.sizeBytes ?? 0),
  }))
  return [...told, ...left.map(({ sizeBytes }) => ({ step: {}, sizeBytes }))]
}

function sinceText({ created }: ImageStep, nowMs: number): string {
  const atMs = Date.parse(created ?? '')
  return Number.isNaN(atMs) || atMs <= 0 ? 'N/A' : ago(atMs, nowMs)
}

function createdBy({ created_by = '' }: ImageStep, truncate: boolean): string {
  const line = created_by.replaceAll('\t', ' ')
  return truncate && line.length > createdByMax ? `${line.slice(0, createdByMax - 1)}…` : line
}
