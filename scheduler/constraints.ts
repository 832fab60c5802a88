// Placement constraints and spread preferences as users write them: parsed once, matched against nodes. Also used
// where a service is created or updated, so the reasons are for users.
// Source: Docker Swarm: == and != only, all must hold, values compare without case, label keys with case; an unknown
// key never matches; a label that a node lacks is the empty text.
import type { Node } from '../proto/objects/index.ts'
import { type IpRange, ipInRange, parseIpRange } from '../proto/spec/ip.ts'
import { normalArchitecture } from './architecture.ts'

export type ConstraintField =
  | 'id'
  | 'hostname'
  | 'ip'
  | 'role'
  | 'os'
  | 'architecture'
  | 'node-label'
  | 'engine-label'
  | 'unknown'

export interface Constraint {
  /** As the user wrote it, without surrounding blanks. */
  readonly text: string
  readonly field: ConstraintField
  /** The key as written; of labels only what follows "labels.". */
  readonly key: string
  readonly equal: boolean
  /** Lower case. */
  readonly value: string
  /** Of field ip only. */
  readonly range: IpRange | undefined
}

export type ParsedConstraint =
  | { readonly kind: 'ok'; readonly constraint: Constraint }
  | { readonly kind: 'error'; readonly reason: string }

export const constraintKeys =
  'node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.NAME, engine.labels.NAME'

const keyPattern = /^[a-z_][a-z0-9\-_.]+$/i
const valuePattern = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i

const plainFields: ReadonlyMap<string, ConstraintField> = new Map([
  ['node.id', 'id'],
  ['node.hostname', 'hostname'],
  ['node.ip', 'ip'],
  ['node.role', 'role'],
  ['node.platform.os', 'os'],
  ['node.platform.arch', 'architecture'],
])

/**
 * Reads `KEY==VALUE` or `KEY!=VALUE`. A key that nodes do not have is accepted (it never matches); what is not of this
 * form, a bad address and a role that does not exist are refused with a reason that names the remedy.
 */
export function parseConstraint(text: string): ParsedConstraint {
  const parts = splitAtOperator(text)
  if (parts === undefined) {
    return refused(text, 'has no operator: write KEY==VALUE or KEY!=VALUE')
  }
  const { key, value, equal } = parts
  if (!keyPattern.test(key)) {
    return refused(text, `has an invalid key "${key}": the keys are ${constraintKeys}`)
  }
  if (!valuePattern.test(value)) {
    const what =
      value === '' ? 'has no value after the operator' : `has an invalid value "${value}"`
    return refused(text, `${what}: write for example node.labels.zone==east`)
  }
  const named = fieldOf(key)
  const range = named.field === 'ip' ? parseIpRange(value) : undefined
  if (named.field === 'ip' && range === undefined) {
    return refused(text, `has "${value}" for an address: write one as 10.0.0.5 or 10.0.0.0/24`)
  }
  const lower = value.toLowerCase()
  if (named.field === 'role' && lower !== 'manager' && lower !== 'worker') {
    return refused(text, `asks for the role "${value}": roles are manager and worker`)
  }
  return {
    kind: 'ok',
    constraint: { text: text.trim(), ...named, equal, value: lower, range },
  }
}

function refused(text: string, reason: string): ParsedConstraint {
  return { kind: 'error', reason: `constraint "${text}" ${reason}` }
}

function splitAtOperator(
  text: string,
): { readonly key: string; readonly value: string; readonly equal: boolean } | undefined {
  // As in Swarm "==" is looked for first, wherever it stands.
  for (const operator of ['==', '!=']) {
    const at = text.indexOf(operator)
    if (at < 0) continue
    return {
      key: text.slice(0, at).trim(),
      value: text.slice(at + operator.length).trim(),
      equal: operator === '==',
    }
  }
  return undefined
}

function fieldOf(key: string): { readonly field: ConstraintField; readonly key: string } {
  const lower = key.toLowerCase()
  const plain = plainFields.get(lower)
  if (plain !== undefined) return { field: plain, key }
  return labelOf(key) ?? { field: 'unknown', key }
}

function labelOf(
  key: string,
): { readonly field: 'node-label' | 'engine-label'; readonly key: string } | undefined {
  const lower = key.toLowerCase()
  for (const [prefix, field] of [
    ['node.labels.', 'node-label'],
    ['engine.labels.', 'engine-label'],
  ] as const) {
    if (lower.startsWith(prefix) && key.length > prefix.length) {
      return { field, key: key.slice(prefix.length) }
    }
  }
  return undefined
}

/** Whether the node fulfils the constraint. */
export function matchesConstraint(constraint: Constraint, node: Node): boolean {
  if (constraint.field === 'unknown') return false
  if (constraint.range !== undefined) {
    return ipInRange(constraint.range, node.address) === constraint.equal
  }
  const own = constrainedValue(constraint, node)
  const isSame =
    constraint.field === 'architecture'
      ? normalArchitecture(own) === normalArchitecture(constraint.value)
      : own.toLowerCase() === constraint.value
  return isSame === constraint.equal
}

/** What the node has for the constraint's key; empty when it has nothing. */
export function constrainedValue(
  constraint: Pick<Constraint, 'field' | 'key'>,
  node: Node,
): string {
  switch (constraint.field) {
    case 'id':
      return node.id
    case 'hostname':
      return node.description?.hostname ?? ''
    case 'ip':
      return node.address
    case 'role':
      return node.role
    case 'os':
      return node.description?.platform.os ?? ''
    case 'architecture':
      return node.description?.platform.architecture ?? ''
    case 'node-label':
      return labelValue(node.spec.labels, constraint.key)
    case 'engine-label':
      return labelValue(node.description?.engineLabels, constraint.key)
    case 'unknown':
      return ''
  }
}

function labelValue(labels: Readonly<Record<string, string>> | undefined, key: string): string {
  if (labels === undefined || !Object.hasOwn(labels, key)) return ''
  return labels[key] ?? ''
}

/** A label whose values divide the nodes into branches. */
export interface SpreadPreference {
  readonly field: 'node-label' | 'engine-label'
  readonly key: string
}

export type ParsedSpread =
  | { readonly kind: 'ok'; readonly preference: SpreadPreference }
  | { readonly kind: 'error'; readonly reason: string }

/** Reads `node.labels.NAME` or `engine.labels.NAME`, what tasks can be spread over. */
export function parseSpread(text: string): ParsedSpread {
  const preference = labelOf(text.trim())
  if (preference !== undefined) return { kind: 'ok', preference }
  const remedy = 'tasks can be spread over node.labels.NAME or engine.labels.NAME'
  return { kind: 'error', reason: `placement preference "${text}" names no label: ${remedy}` }
}

/** The branch of the node; nodes that lack the label share the branch "". */
export function spreadValue(preference: SpreadPreference, node: Node): string {
  return constrainedValue(preference, node)
}
