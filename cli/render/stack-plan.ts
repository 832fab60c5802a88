// `stack plan`: what a deployment would do, for people.

export interface PlanLine {
  readonly action: 'create' | 'change' | 'remove' | 'keep' | 'roll'
  readonly kind: string
  readonly name: string
  /** What becomes of the tasks of what changes. */
  readonly tasks?: string
  /** Gets a new version of a secret or config besides. */
  readonly rolls?: boolean
  readonly changes?: readonly {
    readonly field: string
    readonly from: unknown
    readonly to: unknown
  }[]
}

const words = {
  create: '+ create',
  change: '~ change',
  remove: '- remove',
  roll: '~ roll',
  keep: '  keep',
} as const

/** Each step, fields below it, and a sum at the end. */
export function renderStackPlan(steps: readonly PlanLine[]): string {
  const lines = steps.flatMap((step) => [headOf(step), ...(step.changes ?? []).map(changeLine)])
  const count = (...actions: readonly PlanLine['action'][]): number =>
    steps.filter(({ action }) => actions.includes(action)).length
  const sum = `${count('create')} to create, ${count('change', 'roll')} to change, ${count('remove')} to remove, ${count('keep')} unchanged`
  return [...lines, `Plan: ${sum}.`].map((line) => `${line}\n`).join('')
}

function headOf({ action, kind, name, tasks, rolls = false }: PlanLine): string {
  const isRolled = rolls || action === 'roll'
  const why = isRolled ? `gets a new version of a secret or config: ` : ''
  const effect = kind === 'service' ? `${why}tasks are ${tasks}` : filesEffect(tasks)
  const tail = isRolled || action === 'change' ? effect : ''
  return `${words[action]} ${kind} ${name}${tail === '' ? '' : ` (${tail})`}`
}

function filesEffect(tasks: string | undefined): string {
  return tasks === 'replaced' ? 'a new version' : 'in place'
}

function changeLine({ field, from, to }: NonNullable<PlanLine['changes']>[number]): string {
  return `      ${field}: ${shown(from)} -> ${shown(to)}`
}

const shownMax = 300

function shown(value: unknown): string {
  if (value === undefined) return '(none)'
  const text = JSON.stringify(value)
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text
}
