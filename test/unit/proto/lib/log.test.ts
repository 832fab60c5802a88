// The level of a logger and of its children while they are used.
import t from 'tap'
import { createLogger, type Logger } from '../../../../proto/lib/log.ts'

const levelOf = (log: Logger): unknown => Reflect.get(log, 'level')

t.test(
  'a changed level reaches children and their children, whenever they were made',
  async (t) => {
    const log = createLogger('warn', 'test')
    const child = log.child({ part: 'a' })
    const grandchild = child.child({ id: 1 })
    t.same([log, child, grandchild].map(levelOf), ['warn', 'warn', 'warn'])
    log.setLevel('silent')
    const late = child.child({ id: 2 })
    t.same([log, child, grandchild, late].map(levelOf), ['silent', 'silent', 'silent', 'silent'])
    log.setLevel('debug')
    t.same([log, child, grandchild, late].map(levelOf), ['debug', 'debug', 'debug', 'debug'])
  },
)

t.test('more children than are kept track of at first are all reached', async (t) => {
  const log = createLogger('error', 'test')
  const children = Array.from({ length: 200 }, (_, id) => log.child({ id }))
  log.setLevel('fatal')
  t.same([...new Set(children.map(levelOf))], ['fatal'])
})
