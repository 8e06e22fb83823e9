"""Words that tell that something failed."""

from __future__ import annotations

import pytest

from fluent_krone.core.failures import tells_of_trouble


@pytest.mark.parametrize(
    ("failed", "done"),
    [
        ("订单7付款失败", "订单7已付款"),
        ("注文7の在庫を確保できませんでした", "注文7の在庫を確保しました"),
        ("주문7결제실패", "주문7결제완료"),
        ("คำสั่งซื้อ7ชำระเงินล้มเหลว", "คำสั่งซื้อ7ชำระเงินแล้ว"),
        ("commande 7 refusée", "commande 7 payée"),
        ("Zahlung 7 fehlgeschlagen", "Zahlung 7 gebucht"),
        ("pedido 7 rechazado", "pedido 7 enviado"),
        ("заказ 7 не оплачен", "заказ 7 оплачен"),
    ],
)
def test_a_failure_in_another_language(failed: str, done: str) -> None:
    """Was wrong: a new failure was taken for the step that it came instead of, under a new name."""
    assert tells_of_trouble(failed)
    assert not tells_of_trouble(done)


@pytest.mark.parametrize("text", ["refuse bin 7 emptied", "expire_at is set", "hatch 7 is open"])
def test_english_words_are_none_of_another_language(text: str) -> None:
    assert not tells_of_trouble(text)


@pytest.mark.parametrize(
    "text",
    [
        *("Prüfung fehlerfrei abgeschlossen", "Fehlerzähler zurückgesetzt auf 0", "fejlfri"),
        *("取消订阅成功", "故障转移完成", "异常检测完成", "超时时间设置为 30 s", "无错误"),
        *("中断点续传 完成", "未完了タスク一覧", "取消し処理完了"),
        *("не нужен", "не связан с заказом", "отказоустойчивость включена"),
        *("hata yok", "hatasız tamamlandı", "Hatay branch opened", "không lỗi"),
        "el fallo del tribunal se guardó",
        "Prüfung beendet, kein Fehler",
        *(
            "发现0个错误",
            "处理20条0个失败",
            "result=0 errores",
            "found 0 fouten",
            "20 OK / 0 erreurs",
        ),
        "Abgleich beendet, Fehler: 0",
        "keinerlei Fehler gefunden",
        "aucune erreur détectée",
        "nombre d'erreurs : 0",
        "pas d'erreur",
        "nessun errore",
        "sin errores",
        "nenhum erro",
        "brak błędów",
        "geen fouten gevonden",
        "ingen fejl",
        "ошибок: 0",
        "ошибок нет",
        "没有错误",
        "未发现异常",
        "错误数: 0",
        "失败 0 次",
        "异常处理完成",
        "エラーはありません",
        "エラー 0 件",
        "エラー処理が完了しました",
        "오류가 없습니다",
        "오류 0건",
        "hata ayıklama açık",
    ],
)
def test_what_has_no_errors_is_no_failure(text: str) -> None:
    """Was wrong: a deploy that brought such a step was reported in each session."""
    assert not tells_of_trouble(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "20 ошибок при записи",
            "10 errores de disco",
            "1.0 errores",
            "100 erreurs",
            "10 Fehler",
            "30 erros",
        ),
        *("Fehlercode 17", "Fehlermeldung vom Gateway", "Fehler 0x17", "系统故障", "障害が発生"),
        *("requête sans jeton refusée", "pedido sem saldo recusado", "code=0 失败"),
        *("Anfrage ohne Token abgelehnt", "acceso sin token denegado", "keine Antwort, Fehler 7"),
        *("节点 0 失败", "erro 0: disco cheio", "pago rechazado: 0 euros", "ошибка нет связи"),
        *("订单异常处理中", "session expirée dans la base", "Knoten 0 fehlgeschlagen"),
        *(
            "0 von 3 Zahlungen fehlgeschlagen",
            "错误 10 次",
            "10个错误",
            "第0个失败",
            "오류 10건",
            "エラー 05 が発生",
            # Was none: more text follows the word at once.
            "エラー処理を開始",
        ),
    ],
)
def test_counted_and_numbered_failures_are_failures(text: str) -> None:
    assert tells_of_trouble(text)
