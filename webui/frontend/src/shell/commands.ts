// What the palette offers: where to go and what to do, with readings so that kana and romaji find it.
import type { Key } from '../lib/i18n.svelte'
import { go } from '../lib/router.svelte'
import { session, signOut, updateMe } from '../lib/session.svelte'
import { overlays } from './overlays.svelte'

export type Command = { word: Key; readings: string; keys?: string; permission?: 'operator'; run: () => void }

export const commands: Command[] = [
  { word: 'nav.new_chat', readings: 'あたらしいちゃっと atarashii new chat', keys: 'mod+shift+o', run: () => go('/chat') },
  { word: 'nav.docs', readings: 'ぶんしょ bunsho documents knowledge ナレッジ', keys: 'g d', run: () => go('/docs') },
  { word: 'nav.new_base', readings: 'ぶんしょのはこ つくる bunsho hako new base', run: () => go('/docs?new=1') },
  { word: 'nav.playground', readings: 'もでるをためす くらべる ひかく moderu tamesu kuraberu hikaku playground compare', run: () => go('/playground') },
  { word: 'nav.help', readings: 'つかいかた ヘルプ tsukaikata help manual', run: () => go('/help') },
  { word: 'nav.me', readings: 'じぶんのせってい jibun settei settings api key 鍵 パスワード', run: () => go('/me') },
  { word: 'nav.overview', readings: 'がいきょう じょうたい けんこう gaikyou joutai overview status health', keys: 'g o', permission: 'operator', run: () => go('/operate') },
  { word: 'nav.models', readings: 'もでる moderu models', permission: 'operator', run: () => go('/operate/models') },
  { word: 'operate.bring', readings: 'もでる とりこむ ついか moderu torikomu import add model usb', permission: 'operator', run: () => go('/operate/models/import') },
  { word: 'nav.update', readings: 'こうしん とりこみ バンドル koushin torikomi update usb bundle', permission: 'operator', run: () => go('/operate/update') },
  { word: 'nav.backup', readings: 'ばっくあっぷ ひかえ バックアップ bakkuappu hikae backup restore', permission: 'operator', run: () => go('/operate/backup') },
  { word: 'nav.machine', readings: 'きかい ねっとわーく しょうめいしょ とけい さいきどう しょきか kikai network certificate clock restart factory reset', permission: 'operator', run: () => go('/operate/machine') },
  { word: 'nav.users', readings: 'りようしゃ ユーザー riyousha users people', permission: 'operator', run: () => go('/operate/users') },
  { word: 'nav.record', readings: 'そうさのきろく かんさ ログ sousa no kiroku kansa audit log record', permission: 'operator', run: () => go('/audit/log') },
  { word: 'nav.airgap', readings: 'がいぶせつぞくのしょうめい gaibu setsuzoku shoumei airgap proof firewall ファイアウォール', permission: 'operator', run: () => go('/audit/airgap') },
  { word: 'nav.theme_dark', readings: 'くらい テーマ ダーク kurai dark theme', run: () => void updateMe({ theme: 'dark' }) },
  { word: 'nav.theme_light', readings: 'あかるい テーマ ライト akarui light theme', run: () => void updateMe({ theme: 'light' }) },
  { word: 'nav.theme_system', readings: 'テーマ システム system theme auto', run: () => void updateMe({ theme: 'system' }) },
  { word: 'nav.other_language', readings: 'げんご 言語 英語 日本語 gengo language english japanese', run: () => void updateMe({ language: session.user.language === 'ja' ? 'en' : 'ja' }) },
  { word: 'nav.keys', readings: 'キーボード ショートカット kii keyboard shortcuts', keys: '?', run: () => (overlays.keys = true) },
  { word: 'nav.sign_out', readings: 'サインアウト ログアウト sign out logout', run: () => void signOut() },
]
