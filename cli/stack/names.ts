// What the objects of a stack are called in the swarm: STACK_KEY, or what `name` or `external` says. And their labels.
import { namespaceLabel } from '../../proto/objects/stack.ts'
import type { MapNode } from './node.ts'
import { type Findings, Section } from './section.ts'

export const imageLabel = 'com.docker.stack.image'

export type ObjectKind = 'networks' | 'volumes' | 'secrets' | 'configs'

export interface NamedObject {
  readonly key: string
  readonly name: string
  readonly isExternal: boolean
  /** Its own and the stack's. */
  readonly labels: Readonly<Record<string, string>>
  readonly section: Section
}

export interface NamedVolume extends NamedObject {
  readonly driver: string
  readonly options: Readonly<Record<string, string>>
}

/** The names of one stack. */
export class StackNames {
  readonly stack: string
  readonly #root: Section

  constructor(stack: string, root: MapNode, findings: Findings) {
    this.stack = stack
    this.#root = new Section(root, '', findings)
  }

  scoped(key: string): string {
    return `${this.stack}_${key}`
  }

  /** The stack's label beside others. */
  labelled(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return { ...labels, [namespaceLabel]: this.stack }
  }

  services(): readonly (readonly [string, Section])[] {
    return this.#all('services')
  }

  objects(kind: ObjectKind): readonly NamedObject[] {
    return this.#all(kind).map(([key, section]) => this.#object(key, section))
  }

  /** Undefined: the files have none of that key. */
  object(kind: ObjectKind, key: string): NamedObject | undefined {
    const section = this.#root.section(kind)?.section(key)
    return section === undefined ? undefined : this.#object(key, section)
  }

  volume(key: string): NamedVolume | undefined {
    const found = this.object('volumes', key)
    if (found === undefined) return undefined
    const { section } = found
    return { ...found, driver: section.text('driver') ?? '', options: section.pairs('driver_opts') }
  }

  #object(key: string, section: Section): NamedObject {
    const isExternal = section.bool('external') === true
    const name = section.text('name') ?? (isExternal ? key : this.scoped(key))
    return { key, name, isExternal, labels: this.labelled(section.pairs('labels')), section }
  }

  #all(kind: string): readonly (readonly [string, Section])[] {
    const section = this.#root.section(kind)
    return (section?.keys() ?? []).flatMap((key): readonly (readonly [string, Section])[] => {
      const child = section?.section(key)
      return child === undefined ? [] : [[key, child]]
    })
  }
}
