// `stack history`: a row a revision, the newest first.
import type { StackRevisionView } from '../../proto/gen/tsswarm/v1/control.ts'
import type { StackChange } from '../../proto/gen/tsswarm/v1/objects.ts'
import { ago, isoTime } from './human.ts'
import type { ListView, Row } from './list-format.ts'

export const stackHistoryView: ListView = {
  heads: {
    Revision: 'REVISION',
    When: 'WHEN',
    By: 'BY',
    State: 'STATE',
    Changes: 'CHANGES',
    Kind: 'KIND',
    RollbackTo: 'ROLLBACK TO',
    StartedAt: 'STARTED AT',
    EndedAt: 'ENDED AT',
    Message: 'MESSAGE',
    Missing: 'MISSING',
    Present: 'PRESENT',
    CanComeBack: 'CAN COME BACK',
  },
  table: '{{.Revision}}\t{{.When}}\t{{.By}}\t{{.State}}\t{{.Changes}}',
  quietField: 'Revision',
}

export interface HistoryOptions {
  readonly stack: string
  readonly nowMs: number
  /** Whether changes are shown in full. */
  readonly isWhole: boolean
}

export function stackHistoryRows(
  views: readonly StackRevisionView[],
  options: HistoryOptions,
): readonly Row[] {
  return [...views]
    .sort((a, b) => (b.revision?.revision ?? 0) - (a.revision?.revision ?? 0))
    .map((view) => rowOf(view, options))
}

function rowOf(view: StackRevisionView, { stack, nowMs, isWhole }: HistoryOptions): Row {
  const { revision, present, kept, missing } = view
  const { createdAtMs = 0, updatedAtMs = 0 } = revision?.meta ?? {}
  const isOpen = revision?.state === 'deploying'
  const changes = changesText(revision?.changes ?? [], stack)
  const rollbackTo = revision?.rollbackTo ?? 0
  const what = rollbackTo === 0 ? changes : `rollback to ${rollbackTo}: ${changes}`
  return {
    Revision: String(revision?.revision ?? 0),
    When: ago(createdAtMs, nowMs),
    By: byText(view),
    State: stateText(view, isWhole),
    Changes: revision?.kind === 'found' ? 'as it was found' : cut(what, isWhole),
    Kind: revision?.kind ?? '',
    RollbackTo: rollbackTo === 0 ? '' : String(rollbackTo),
    StartedAt: isoTime(createdAtMs),
    EndedAt: isOpen ? '' : isoTime(updatedAtMs),
    Message: revision?.message ?? '',
    Missing: missing.map((one) => `${one.kind} ${one.name} version ${one.revision}`).join(', '),
    Present: present,
    CanComeBack: kept && missing.length === 0,
  }
}

function byText({ revision, clientHostname }: StackRevisionView): string {
  const { clientUser: user = '', clientNodeId = '' } = revision ?? {}
  const host = clientHostname || clientNodeId
  return host === '' ? user : `${user}@${host}`
}

function stateText({ revision, present, missing }: StackRevisionView, isWhole: boolean): string {
  const { state = '', message = '' } = revision ?? {}
  const [gone] = missing
  const notes = [
    present ? 'present' : '',
    gone === undefined ? '' : `${gone.kind} ${gone.name} version ${gone.revision} is gone`,
    state === 'failed' && message !== '' ? message.split('\n', 1)[0] : '',
  ]
  return cut([state, ...notes.filter(Boolean)].join(', '), isWhole)
}

const signs: Readonly<Record<string, string>> = { create: '+', change: '~', roll: '~', remove: '-' }

/** As `+network back, ~web (task.container.image), -old`: names without the stack's. */
function changesText(changes: readonly StackChange[], stack: string): string {
  return changes
    .map(({ action, kind, name, fields }) => {
      const own = name.startsWith(`${stack}_`) ? name.slice(stack.length + 1) : name
      const head = `${signs[action] ?? ''}${kind === 'service' ? '' : `${kind} `}${own}`
      return fields.length === 0 ? head : `${head} (${fields.join(', ')})`
    })
    .join(', ')
}

const shownMax = 60

function cut(text: string, isWhole: boolean): string {
  return isWhole || text.length <= shownMax ? text : `${text.slice(0, shownMax - 1)}…`
}
