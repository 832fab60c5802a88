// A planted bug: a store that acknowledges an update it never proposes. The callback runs and its result is told, rows included; then
// everything is rolled back.
import type { ReadTx, Store, Tx } from '../../../manager/store/store.ts'

class RolledBack extends Error {}

/** What `store` does, but the first update of a service is lost that comes when `mayLose`. */
export function losingStore(store: Store, mayLose: () => boolean): Store {
  let hasLost = false
  /** What was acknowledged and is not there. */
  const lost = new Map<string, unknown>()
  return {
    get appliedIndex() {
      return store.appliedIndex
    },
    rows: (table) => store.rows(table),
    watch: (selector, options) => store.watch(selector, options),
    view: (fn) => store.view((tx) => fn(withRows(tx, lost))),
    update: async (fn, options = {}) => {
      const isService = options.method?.endsWith('Service') === true
      if (hasLost || !isService || !mayLose()) return await store.update(fn, options)
      hasLost = true
      const told: { value?: Awaited<ReturnType<typeof fn>> } = {}
      const roll = store.update((tx) => {
        told.value = fn(noting(tx, lost)) as NonNullable<typeof told.value>
        throw new RolledBack()
      })
      await roll.catch((err: unknown) => {
        if (err instanceof RolledBack) return
        // What was refused is told so: nothing is lost yet.
        hasLost = false
        throw err
      })
      return told.value as ReturnType<typeof fn>
    },
  }
}

/** Notes the services that are written. */
function noting(tx: Tx, lost: Map<string, unknown>): Tx {
  const note = <R>(table: string, row: R): R => {
    if (table === 'services') lost.set((row as { readonly id: string }).id, row)
    return row
  }
  return override(tx, {
    create: (table, row) => note(table, tx.create(table, row)),
    update: (table, row) => note(table, tx.update(table, row)),
  })
}

/** The manager that lost them still shows them to whom it acknowledged them. */
function withRows(tx: ReadTx, lost: ReadonlyMap<string, unknown>): ReadTx {
  const get = ((table, id) => {
    const row = table === 'services' ? lost.get(id) : undefined
    return row ?? tx.get(table, id)
  }) as ReadTx['get']
  return override(tx, { get })
}

function override<T extends object>(tx: T, methods: Partial<T>): T {
  return new Proxy(tx, {
    get: (target, key) => {
      const own = Reflect.get(methods, key) as unknown
      if (own !== undefined) return own
      const value = Reflect.get(target, key, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
