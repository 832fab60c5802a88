// Single values of a compose file held against the format: texts, numbers, switches, sizes, durations.
import { goDuration, goFloat32, parseDurationNs } from './go-text.ts'
import { type At, kindText, type Node, type Notice, textNode } from './node.ts'
import type { ScalarShape } from './shape.ts'
import { bytesOf } from './short-forms.ts'

/** Collects what is wrong; every method gives undefined for what says nothing or is wrong. */
export class ScalarNormaliser {
  readonly faults: Notice[] = []
  /** What has no effect. */
  readonly ignored: Notice[] = []
  protected readonly minor: number

  /** `minor`: the second number of the file's version. */
  constructor(minor: number) {
    this.minor = minor
  }

  protected fault(at: At, path: string, text: string): undefined {
    this.faults.push({ at, path, text })
    return undefined
  }

  protected scalar(node: Node, shape: ScalarShape, path: string): Node | undefined {
    switch (shape.kind) {
      case 'text':
      case 'version': {
        const found = this.text(node, path, 'a string')
        return found?.value === '' && shape.kind === 'text' ? undefined : found
      }
      case 'word': {
        const wanted = `one of ${shape.words.join(', ')}`
        const found = this.text(node, path, wanted)
        if (found === undefined || shape.words.includes(found.value)) return found
        return this.fault(node.at, path, `must be ${wanted}, not "${found.value}"`)
      }
      case 'textOrNumber':
        if (node.kind === 'number') return textNode(node.text, node.at)
        return this.text(node, path, 'a string or a number')
      case 'bytes':
        return this.parsed(node, path, (text, at) => {
          const bytes = bytesOf(text)
          return bytes === 0 ? undefined : textNode(String(bytes), at)
        })
      case 'float':
        if (node.kind !== 'number') return this.wrong(node, path, 'a number')
        if (node.value === 0) return undefined
        return { ...node, text: goFloat32(node.value) }
      case 'bool':
        if (node.kind !== 'bool') return this.wrong(node, path, 'true or false')
        return node.value || shape.isKept ? node : undefined
      case 'integer':
        return this.integer(node, shape.isKept, path)
      case 'duration':
        return this.parsed(node, path, (text, at) => {
          const ns = parseDurationNs(text)
          if (ns === undefined) throw new Error(`"${text}" must be a duration such as 30s or 1m30s`)
          return ns === 0 && !shape.isKept ? undefined : textNode(goDuration(ns), at)
        })
    }
  }

  protected wrong(node: Node, path: string, wanted: string): undefined {
    return this.fault(node.at, path, `must be ${wanted}, not ${kindText(node)}`)
  }

  protected text(node: Node, path: string, wanted: string): (Node & { kind: 'text' }) | undefined {
    if (node.kind === 'text') return node
    if (node.kind === 'time') return { ...node, kind: 'text' }
    const isScalar = node.kind === 'number' || node.kind === 'bool'
    return this.wrong(node, path, isScalar ? `${wanted}: put it in quotes` : wanted)
  }

  protected parsed(
    node: Node,
    path: string,
    parse: (text: string, at: At) => Node | undefined,
  ): Node | undefined {
    const found = this.text(node, path, 'a string')
    if (found === undefined) return undefined
    try {
      return parse(found.value, found.at)
    } catch (err) {
      return this.fault(node.at, path, err instanceof Error ? err.message : String(err))
    }
  }

  protected integer(node: Node, isKept: boolean, path: string): Node | undefined {
    if (node.kind !== 'number' || !Number.isInteger(node.value)) {
      return this.wrong(node, path, 'a whole number')
    }
    const mayBeNegative = path.endsWith('.oom_score_adj') || path.includes('.ulimits.')
    if (node.value < 0 && !mayBeNegative) return this.fault(node.at, path, 'must be 0 or more')
    return node.value === 0 && !isKept ? undefined : node
  }
}
